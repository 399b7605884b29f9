"""What lies behind a URL, through fsspec; every failure becomes MW-207, without credentials."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from modelwright.errors import UserError, did_you_mean, nearest
from modelwright.runtime import libraries

_URL = re.compile(r"^[a-z][a-z0-9+.-]*(::|://)", re.IGNORECASE)
_DRIVERS = {"s3": ("s3fs", "s3"), "s3a": ("s3fs", "s3"), "gs": ("gcsfs", "data")}
_CREDENTIAL_HINTS = {
    "s3": "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for other stores, AWS_ENDPOINT_URL",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS",
}
_STRONG = ("ETag", "etag", "md5Hash", "content_md5", "checksum")
_WEAK = ("LastModified", "last_modified", "mtime", "updated", "modified")
_BLOCK = 4 << 20


def is_url(location: str) -> bool:
    """Whether fsspec has to be asked (file:// is this machine)."""
    return bool(_URL.match(location)) and not location.startswith("file://")


def redact(text: str) -> str:
    """The text without user:password@ and without the values of URL parameters."""
    text = re.sub(r"//[^/@\s]+@", "//***@", text)
    return re.sub(r"([?&][\w.-]+=)[^&\s]+", r"\1***", text)


def connect(location: str) -> tuple[Any, str]:
    """The file system of a URL and the path in it."""
    fsspec = libraries.require("fsspec", "data")
    scheme = location.split(":", 1)[0].lower()
    try:
        filesystem, path = fsspec.core.url_to_fs(location)
    except ImportError as error:
        raise libraries.missing(*_DRIVERS.get(scheme, (f"fsspec[{scheme}]", "data"))) from error
    except ValueError as error:
        raise UserError(
            "MW-201",
            f"{redact(location)} cannot be opened: {redact(str(error))}",
            expected="a path or a URL that fsspec knows",
            fix=did_you_mean(scheme, ["s3", "gs", "memory", "http", "https", "hf", "sql", "file"]),
        ) from error
    with failures(location):
        filesystem.invalidate_cache()
    return filesystem, path


def listing(location: str) -> tuple[Any, list[tuple[str, str]]]:
    """The file system and (name, path) of each file: one, a folder's, or a pattern's."""
    filesystem, path = connect(location)
    with failures(location):
        if "*" in path:
            root = path[: path.index("*")].rsplit("/", 1)[0]
            found = filesystem.glob(path, detail=True)
            paths = [name for name, info in found.items() if info.get("type") != "directory"]
            return filesystem, [(_relative(name, root), name) for name in paths]
        try:
            info = filesystem.info(path)
        except FileNotFoundError:
            return filesystem, []
        if info.get("type") != "directory":
            return filesystem, [(path.rstrip("/").rsplit("/", 1)[-1].split("?")[0], path)]
        return filesystem, [(_relative(name, path), name) for name in filesystem.find(path)]


def _relative(name: str, root: str) -> str:
    return name.strip("/").removeprefix(root.strip("/")).lstrip("/")


def open_file(filesystem: Any, path: str, name: str) -> BinaryIO:
    """A seekable, buffered binary file whose reads fail with MW-207."""
    with failures(name):
        file = filesystem.open(path, "rb")
    return cast(BinaryIO, io.BufferedReader(_Guarded(file, name), _BLOCK))


def exists(filesystem: Any, path: str, name: str) -> bool:
    """Whether a file is there."""
    with failures(name):
        return bool(filesystem.exists(path))


def identity(filesystem: Any, path: str, name: str) -> str | None:
    """A digest of what the place itself keeps of the content (ETag; size and time), if it does."""
    with failures(name):
        info = filesystem.info(path)
    for keys in (_STRONG, _WEAK):
        known = {key: str(info[key]) for key in keys if info.get(key)}
        if known:
            text = json.dumps({**known, "size": info.get("size")}, sort_keys=True)
            return hashlib.sha256(text.encode()).hexdigest()
    return None


def absent(filesystem: Any, location: str) -> UserError:
    """MW-107 for a URL behind which nothing lies, with the nearest name beside it."""
    path = filesystem._strip_protocol(location)
    parent, _, wanted = path.rstrip("/").rpartition("/")
    beside: list[str] = []
    with contextlib.suppress(Exception):
        names = filesystem.ls(parent, detail=False)
        beside = sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in names)
    close = nearest(wanted, beside)
    shown = ", ".join(beside[:5]) or "nothing"
    return UserError(
        "MW-107",
        f"there is nothing at {redact(location)}",
        expected="a file, a folder or a pattern that matches",
        fix=f"did you mean `{close}`?" if close else f"`{redact(parent)}` holds {shown}",
    )


@contextlib.contextmanager
def failures(location: str) -> Iterator[None]:
    """Turn whatever a remote file system raises into MW-207."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise failed(location, error) from error


def failed(location: str, error: BaseException) -> UserError:
    """MW-207: which place, what it said, and what usually helps."""
    scheme = location.split(":", 1)[0]
    said = redact(str(error)).strip().split("\n")[0][:300] or type(error).__name__
    hint = _CREDENTIAL_HINTS.get(scheme, "check the address, the network and the credentials")
    return UserError(
        "MW-207",
        f"{redact(location)} cannot be read: {said}",
        expected="a place that answers and lets this user read",
        fix=hint + "; the same command then goes on",
    )


class _Guarded(io.RawIOBase):
    def __init__(self, file: Any, name: str) -> None:
        self._file, self._name = file, name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with failures(self._name):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        with failures(self._name):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
