"""Writes that are whole or absent: temporary name, fsync, rename."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from modelwright.errors import ModelwrightError, UserError

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
_IN_THE_WAY = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR}


@contextlib.contextmanager
def writing_errors(path: Path | str) -> Iterator[None]:
    """Turn a full or read-only disk, and what stands in the way, into MW-802, naming the path."""
    try:
        yield
    except ModelwrightError:
        raise
    except Exception as error:
        number = _number_of(error)
        if number in _IN_THE_WAY and _is_of(Path(path), error):
            raise UserError(
                "MW-802",
                f"cannot write {path}: {os.strerror(number)}",
                expected="a place where nothing else stands",
                fix="choose another name or folder",
            ) from error
        if number not in _UNWRITABLE:
            raise
        raise UserError(
            "MW-802",
            f"cannot write {path}: {os.strerror(number)}",
            expected="a writable folder with free space",
            fix="free space, or choose another folder (-o; --out of predict); the same command then goes on",
        ) from error


def _number_of(error: Exception) -> int:
    """The system's number of an error, 0 for none; libraries in other languages put it in words."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    # safetensors and tokenizers; shutil, of many files
    if found := re.search(r"(?:\(os error |\[Errno )(\d+)[])]", str(error)):
        return int(found[1])
    full = re.search("PytorchStreamWriter failed|inline_container.*unexpected pos", str(error))
    return errno.ENOSPC if full else 0


def _is_of(path: Path, error: Exception) -> bool:
    """Whether the error is about a path or a folder that it lies in."""
    places = {str(path), *map(str, path.parents)}
    about = (getattr(error, "filename", None), getattr(error, "filename2", None))
    return bool(places & set(map(str, about)))


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
        try:
            with temporary.open("w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                _sync(file)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Replace `path` atomically with indented JSON (non-ASCII kept readable)."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Parse a UTF-8 JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _sync(file: TextIO) -> None:
    file.flush()
    os.fsync(file.fileno())
