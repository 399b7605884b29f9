"""Writes that are whole or absent: temporary name, fsync, rename."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from modelwright.errors import UserError

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


@contextlib.contextmanager
def writing_errors(path: Path | str) -> Iterator[None]:
    """Turn a full or read-only disk into MW-802, naming the path."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        raise UserError(
            "MW-802",
            f"cannot write {path}: {os.strerror(error.errno)}",
            expected="a writable folder with free space",
            fix="free space, or choose another folder with -o; the same command then goes on",
        ) from error


def fsync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Replace `path` atomically with UTF-8 `text`."""
    with writing_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            _sync(file)
        os.replace(temporary, path)


def write_json(path: Path, value: Any) -> None:
    """Replace `path` atomically with indented JSON (non-ASCII kept readable)."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Parse a UTF-8 JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _sync(file: TextIO) -> None:
    file.flush()
    os.fsync(file.fileno())
