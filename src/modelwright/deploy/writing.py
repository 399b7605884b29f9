"""Writes a target's files into a folder, and knows again what it wrote there.

A folder that holds anything else is not touched, nor is a file that somebody changed since, unless
told so. The same order gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from modelwright.artifacts.hashing import digest_file
from modelwright.errors import UserError
from modelwright.runtime.files import write_text, writing_errors

MARK = ".modelwright-deploy.json"
"""Lists what was written, with digests."""
Content = str | bytes | Path


def write_files(folder: Path, files: Mapping[str, Content], *, force: bool = False) -> list[str]:
    """Write every file, and take away those of an earlier time that are not among them.

    Args:
        folder: made if it is missing.
        files: relative path to text, bytes, or a file to copy.
        force: write over what was changed since.

    Returns:
        Paths that were written, sorted.

    Raises:
        UserError: MW-626 for a folder that holds other things, MW-802 for one that cannot be
            written.
    """
    before = _written(folder)
    if not force:
        _refuse_changed(folder, before)
    with writing_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in before.keys() - files.keys():
            (folder / name).unlink(missing_ok=True)
            _prune(folder, PurePosixPath(name).parent)
    digests = {name: _write(folder / name, content) for name, content in sorted(files.items())}
    write_text(folder / MARK, json.dumps({"schema": 1, "files": digests}, indent=1) + "\n")
    return list(digests)


def _written(folder: Path) -> dict[str, str]:
    """Digests by path of what an earlier call wrote; empty for a new or empty folder."""
    if not folder.exists():
        return {}
    if folder.is_dir() and not any(folder.iterdir()):
        return {}
    try:
        found = json.loads((folder / MARK).read_text(encoding="utf-8"))["files"]
        names = {str(name): str(digest) for name, digest in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            "MW-626",
            f"{folder} is not empty, and `mw deploy` did not write it",
            expected="a new folder, an empty one, or one that `mw deploy` wrote",
            fix="choose another one: -o DIR",
        ) from None
    outside = [name for name in names if _leaves(name)]
    if outside:
        raise UserError(
            "MW-626",
            f"{folder / MARK} names files outside the folder: {outside[0]!r}",
            expected="the list that `mw deploy` wrote",
            fix="choose another folder: -o DIR",
        )
    return names


def _leaves(name: str) -> bool:
    path = PurePosixPath(name)
    return not name or path.is_absolute() or ".." in path.parts


def _refuse_changed(folder: Path, before: Mapping[str, str]) -> None:
    changed = [
        name
        for name, digest in before.items()
        if (folder / name).is_file() and digest_file(folder / name) != digest
    ]
    if changed:
        raise UserError(
            "MW-626",
            f"{len(changed)} of its files were changed since: {', '.join(sorted(changed)[:5])}",
            expected="the files as `mw deploy` wrote them",
            fix="write into another folder and compare, or overwrite your changes with --force",
            file=str(folder),
        )


def _prune(folder: Path, place: PurePosixPath) -> None:
    """Take away folders that are empty now."""
    while place.parts and (folder / place).is_dir() and not any((folder / place).iterdir()):
        (folder / place).rmdir()
        place = place.parent


def _write(path: Path, content: Content) -> str:
    """Write one file, readable by all (an image is built from it), and return its digest."""
    with writing_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        if isinstance(content, Path):
            shutil.copyfile(content, temporary)
        else:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        script = isinstance(content, str) and content.startswith("#!")
        os.chmod(temporary, 0o755 if script else 0o644)
        os.replace(temporary, path)
        os.chmod(path.parent, 0o755)
    return digest_file(path) if isinstance(content, Path) else _digest(content)


def _digest(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
