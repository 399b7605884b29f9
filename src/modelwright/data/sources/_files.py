"""Finds the files behind a location and opens them, wherever they lie and however compressed.

    location ─▶ find ─▶ [Input, ...] ─▶ Input.open() ─▶ plain bytes

A location is a path, a folder, a glob, or a URL that fsspec knows (s3://, gs://, memory://). A zip
is a folder in one file. Credentials inside a URL never reach a name or an error.
"""

from __future__ import annotations

import bz2
import contextlib
import glob
import gzip
import hashlib
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from modelwright.data.sources import _remote
from modelwright.data.sources._remote import redact
from modelwright.errors import UserError, did_you_mean, nearest

COMPRESSIONS = (".gz", ".bz2", ".xz", ".zip")
_OPENERS: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
)
_CHUNK = 1 << 20
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Input:
    """One file to read.

    Attributes:
        name: as the user would recognise it: the file's name, or its path in the folder given.
        path: where it is, on this machine or in `filesystem`.
        filesystem: the fsspec file system, or None for this machine.
        member: the file's name inside the zip at `path`.
    """

    name: str
    path: str
    filesystem: Any = None
    member: str | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The file's bytes, decompressed (told by its first bytes, not by its name).

        Raises:
            UserError: MW-107 unreadable, MW-201 damaged, MW-207 when a remote place failed.
        """
        with self._reading(), contextlib.ExitStack() as stack:
            file = stack.enter_context(self._raw())
            if self.member is not None:
                archive = stack.enter_context(zipfile.ZipFile(file))
                file = stack.enter_context(_extract(archive, self.member, self.name))
            head = file.read(6)
            file.seek(0)
            for magic, opener in _OPENERS:
                if head.startswith(magic):
                    file = cast(BinaryIO, stack.enter_context(opener(file)))
            yield file

    @contextlib.contextmanager
    def stored(self) -> Iterator[BinaryIO]:
        """The file's bytes as stored, seekable; for formats that compress by themselves."""
        with self._reading(), self._raw() as file:
            if self.member is None:
                yield file
            else:
                with (
                    zipfile.ZipFile(file) as archive,
                    _extract(archive, self.member, self.name) as inner,
                ):
                    yield inner

    @contextlib.contextmanager
    def archive(self) -> Iterator[zipfile.ZipFile]:
        """The zip that holds this file."""
        with self._reading(), self._raw() as file, zipfile.ZipFile(file) as archive:
            yield archive

    def exists(self) -> bool:
        """Whether the file is there."""
        if self.filesystem is not None:
            return _remote.exists(self.filesystem, self.path, self.name)
        return os.path.isfile(self.path)

    def head(self, size: int) -> bytes:
        """The first `size` bytes, decompressed."""
        with self.open() as file:
            return file.read(size)

    def digest(self) -> str:
        """A digest of the content as stored: sha256, or what the remote place keeps of it."""
        if self.filesystem is not None and self.member is None:
            known = _remote.identity(self.filesystem, self.path, self.name)
            if known:
                return known
        hasher = hashlib.sha256()
        with self.stored() as file:
            while chunk := file.read(_CHUNK):
                hasher.update(chunk)
        return hasher.hexdigest()

    def size(self) -> int | None:
        """Bytes as stored, or None inside a zip or where a remote place does not say."""
        if self.member is not None or self.filesystem is not None:
            return None
        return os.path.getsize(self.path)

    def _raw(self) -> BinaryIO:
        if self.filesystem is not None:
            return _remote.open_file(self.filesystem, self.path, self.name)
        return cast(BinaryIO, open(self.path, "rb"))

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile) as why:
            raise damaged(self.name, str(why)) from why
        except PermissionError as error:
            raise unreadable(self.name, "permission denied") from error
        except FileNotFoundError as error:
            raise missing(self.path) from error
        except OSError as error:
            raise unreadable(self.name, error.strerror or str(error)) from error


def find(location: str, suffixes: Sequence[str]) -> list[Input]:
    """The files of a location, sorted by name; `suffixes` choose inside folders and zips.

    Raises:
        UserError: MW-107 nothing is there, MW-201 a folder without such a file, MW-207 remote.
    """
    whole, inside = split_zip(location)
    found = _remote_inputs(whole) if _remote.is_url(whole) else _local_inputs(whole)
    explicit = len(found) == 1 and PurePosixPath(found[0].name).name == _last(location)
    if inside:
        return _inside(found[0], inside, suffixes)
    kept: list[Input] = []
    for item in found:
        if item.name.lower().endswith(".zip"):
            kept += _members(item, suffixes)
        elif explicit or is_glob(location) or plain_suffix(item.name) in suffixes:
            kept.append(item)
    if not kept:
        raise UserError(
            "MW-201",
            f"no file of this format in {redact(location)}",
            expected="files that end in " + ", ".join(suffixes) + " (also compressed)",
            fix=f"it holds {_listing(item.name for item in found)}; name the files with a glob "
            "or set data.format",
        )
    return kept


def everything(location: str) -> list[Input]:
    """Every file of a location, whatever its ending; zips opened."""
    whole, inside = split_zip(location)
    found = _remote_inputs(whole) if _remote.is_url(whole) else _local_inputs(whole)
    if inside:
        return _inside(found[0], inside, None)
    kept: list[Input] = []
    for item in found:
        kept += _members(item, None) if item.name.lower().endswith(".zip") else [item]
    return kept


def split_zip(location: str) -> tuple[str, str]:
    """`photos.zip/train` as the zip and the path in it (empty where there is none)."""
    at = location.lower().find(".zip/")
    return (location, "") if at < 0 else (location[: at + 4], location[at + 5 :].strip("/"))


def is_glob(location: str) -> bool:
    """Whether the location is a pattern rather than a file whose name looks like one."""
    if _remote.is_url(location):
        return "*" in location
    return bool(_GLOB.search(location)) and not os.path.exists(local(location))


def local(location: str) -> str:
    """The path on this machine of a location that is not remote."""
    return os.path.expanduser(location.removeprefix("file://"))


def plain_suffix(name: str) -> str:
    """The ending that tells the format, lower case: `.csv` of `A.CSV.gz`."""
    path = PurePosixPath(name.lower())
    return PurePosixPath(path.stem).suffix if path.suffix in COMPRESSIONS else path.suffix


def combined(inputs: Iterable[Input], *, names: bool = False) -> str:
    """One digest of many files in order; with `names` where names carry meaning."""
    hasher = hashlib.sha256()
    for item in inputs:
        hasher.update(f"{item.name if names else ''}\0{item.digest()}\n".encode())
    return hasher.hexdigest()


def _local_inputs(location: str) -> list[Input]:
    path = local(location)
    if os.path.isfile(path):
        return [Input(name=os.path.basename(path), path=path)]
    if os.path.isdir(path):
        return [Input(name=name, path=os.path.join(path, name)) for name in _walk(path)]
    if is_glob(location):
        root = _fixed_part(path)
        matches = sorted(item for item in glob.glob(path, recursive=True) if os.path.isfile(item))
        if matches:
            return [Input(name=os.path.relpath(item, root or "."), path=item) for item in matches]
    raise missing(location)


def _walk(folder: str) -> list[str]:
    names = []
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not hidden(name)]
        names += [
            os.path.relpath(os.path.join(root, name), folder).replace(os.sep, "/")
            for name in files
            if not hidden(name)
        ]
    return sorted(names)


def hidden(name: str) -> bool:
    """Whether any part of a relative path is not the user's data (.DS_Store, __MACOSX)."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _remote_inputs(location: str) -> list[Input]:
    filesystem, entries = _remote.listing(location)
    if not entries:
        raise _remote.absent(filesystem, location)
    return [
        Input(name=name, path=path, filesystem=filesystem)
        for name, path in sorted(entries)
        if not hidden(name)
    ]


def _members(item: Input, suffixes: Sequence[str] | None) -> list[Input]:
    with item.stored() as file, zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    names = [name for name in names if not hidden(name)]
    wanted = [name for name in names if suffixes is None or plain_suffix(name) in suffixes]
    if not wanted and len(names) == 1:
        wanted = names
    return [replace(item, name=f"{item.name}/{name}", member=name) for name in sorted(wanted)]


def _inside(item: Input, inside: str, suffixes: Sequence[str] | None) -> list[Input]:
    """The members of a zip at or below a path; one named exactly counts whatever its ending."""
    found = [each for each in _members(item, None) if f"{each.member}/".startswith(f"{inside}/")]
    if not found:
        tops = sorted({(each.member or "").split("/")[0] for each in _members(item, None)})
        raise UserError(
            "MW-107",
            f"there is nothing at {inside} in {item.name}",
            expected="a file or folder of the zip",
            fix=did_you_mean(inside.split("/", maxsplit=1)[0], tops),
        )
    if suffixes is None or (len(found) == 1 and found[0].member == inside):
        return found
    return [each for each in found if plain_suffix(each.name) in suffixes]


def _extract(archive: zipfile.ZipFile, member: str, name: str) -> BinaryIO:
    try:
        return cast(BinaryIO, archive.open(member))
    except (RuntimeError, NotImplementedError, KeyError) as error:
        raise damaged(name, str(error)) from error


def _fixed_part(pattern: str) -> str:
    parts = pattern.split("/")
    cut = next((at for at, part in enumerate(parts) if _GLOB.search(part)), len(parts))
    return "/".join(parts[:cut])


def _last(location: str) -> str:
    return PurePosixPath(location.rstrip("/").split("?")[0]).name


def _listing(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
    return (", ".join(shown[:5]) + more) if shown else "nothing"


def missing(location: str) -> UserError:
    """MW-107, with the nearest name that does exist beside it."""
    path = Path(local(location))
    parent, wanted = path.parent, path.name
    while not parent.is_dir() and parent != parent.parent:
        parent, wanted = parent.parent, parent.name
    try:
        beside = sorted(item.name for item in parent.iterdir() if not item.name.startswith("."))
    except OSError:
        beside = []
    close = nearest(wanted, beside) if not _GLOB.search(wanted) else None
    fix = f"did you mean `{parent / close}`?" if close else f"{parent} holds {_listing(beside)}"
    what = "no file matches" if is_glob(location) else "there is no file or folder"
    return UserError("MW-107", f"{what} {redact(location)}", expected="a path that exists", fix=fix)


def unreadable(name: str, why: str) -> UserError:
    """MW-107 for a file that is there but can't be opened."""
    return UserError(
        "MW-107",
        f"the file cannot be read: {why}",
        expected="a file that this user may read",
        fix=f"check its permissions with `ls -l {name}`",
        file=name,
    )


def damaged(name: str, why: str) -> UserError:
    """MW-201 for a file whose container is broken, so that rows are lost without number."""
    return UserError(
        "MW-201",
        f"the file is damaged or cut short: {why}",
        expected="a whole file",
        fix="copy or download it again",
        file=name,
    )


def empty(name: str) -> UserError:
    """MW-203 for a file without content."""
    return UserError(
        "MW-203",
        "the file is empty",
        expected="at least one row",
        fix="check how the file was written, or name another one",
        file=name,
    )
