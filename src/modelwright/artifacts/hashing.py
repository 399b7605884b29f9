"""Digests: of files, of folders, of plain data."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def digest_file(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_files(
    folder: Path, *, skip: frozenset[str] = frozenset(), outside: tuple[str, ...] = ()
) -> dict[str, str]:
    """sha256 by POSIX path relative to `folder`, sorted; without names in `skip`, and without names
    that begin with one of `outside`."""
    found = (path for path in folder.rglob("*") if path.is_file())
    names = sorted(path.relative_to(folder).as_posix() for path in found)
    wanted = (name for name in names if name not in skip and not name.startswith(outside))
    return {name: digest_file(folder / name) for name in wanted}


def digest_json(value: Any) -> str:
    """sha256 of the canonical JSON form (sorted keys, no spaces) of plain data."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
