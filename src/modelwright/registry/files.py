"""A registry of files, in a folder or behind a URL that fsspec knows.

    NAME/versions/VERSION/...              the files of a bundle
    NAME/versions/VERSION.json             its record, written when all files are there
    NAME/versions/VERSION.signature.json   where it is signed
    NAME/history/TIME-RANDOM.json          one event a file; none is ever changed

Nobody has to hold a lock: files of a version are the same whoever writes them, and events have
names of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import Any, final

from modelwright.artifacts.bundle import MANIFEST, is_inside
from modelwright.data.sources._remote import connect, failed, is_url, redact
from modelwright.errors import ModelwrightError, UserError
from modelwright.registry.store import Event, Record, Registry, safe
from modelwright.runtime.files import writing_errors

_MOST_JSON = 50_000_000
"""Bytes of a bundle.json or of an event; what is larger is nobody's honest manifest."""


@final
class FileRegistry(Registry):
    """See the module.

    Args:
        url: of the registry; a folder that is not there is made by the first push.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        local = not is_url(url)
        place = str(Path(url.removeprefix("file://")).expanduser().absolute()) if local else url
        self._local = local
        self._fs, root = connect(place)
        self._root = root.rstrip("/")

    # -- reading ----------------------------------------------------------------------------------
    def names(self) -> list[str]:
        with self._failures():
            return sorted(name for name in self._list(self._root) if _is_name(name))

    def records(self, name: str) -> list[Record]:
        place = f"{self._root}/{safe(name, 'name')}/versions"
        with self._failures():
            files = self._list(place)
            signed = {one.removesuffix(".signature.json") for one in files if "signature" in one}
            found = []
            for one in files:
                version = one.removesuffix(".json")
                if one.endswith(".json") and not one.startswith(".") and "signature" not in one:
                    record = self._record(f"{place}/{one}", name, version)
                    found.append(replace(record, signed=version in signed))
        return sorted(found, key=lambda record: (record.pushed, record.version))

    def events(self, name: str) -> list[Event]:
        place = f"{self._root}/{safe(name, 'name')}/history"
        with self._failures():
            files = sorted(one for one in self._list(place) if _is_event(one))
            return [self._parsed(f"{place}/{one}", Event) for one in files]

    def fetch(self, record: Record, folder: Path) -> None:
        place = self._version(record)
        with self._failures():
            text = self._read(f"{place}/{MANIFEST}")
            (folder / MANIFEST).write_bytes(text)
            for name in declared_files(text):
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                self._fs.get_file(f"{place}/{name}", str(target))

    def fetch_signature(self, record: Record, target: Path) -> None:
        with self._failures():
            target.write_bytes(self._read(f"{self._version(record)}.signature.json"))

    # -- writing ----------------------------------------------------------------------------------
    def add(self, record: Record, bundle: Path, signature: Path | None) -> None:
        place = self._version(record)
        with self._failures():
            for path in sorted(bundle.rglob("*")):
                if path.is_file():
                    self._put(path, f"{place}/{path.relative_to(bundle).as_posix()}")
            if signature is not None:
                self._put(signature, f"{place}.signature.json")
            self._write(f"{place}.json", asdict(record))

    def add_signature(self, record: Record, signature: Path) -> None:
        with self._failures():
            self._put(signature, f"{self._version(record)}.signature.json")

    def note(self, name: str, event: Event) -> None:
        moment = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        with self._failures():
            self._write(f"{self._root}/{safe(name, 'name')}/history/{moment}.json", asdict(event))

    # -- how --------------------------------------------------------------------------------------
    def _version(self, record: Record) -> str:
        name, version = safe(record.name, "name"), safe(record.version, "version")
        return f"{self._root}/{name}/versions/{version}"

    def _list(self, place: str) -> list[str]:
        """Names in a folder; none where there is none."""
        self._fs.invalidate_cache()
        try:
            return [one.rstrip("/").rsplit("/", 1)[-1] for one in self._fs.ls(place, detail=False)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _read(self, place: str) -> bytes:
        with self._fs.open(place, "rb") as file:
            content = file.read(_MOST_JSON + 1)
        if len(content) > _MOST_JSON:
            raise _strange(self.url, f"{place} is larger than {_MOST_JSON:,} bytes")
        return content

    def _parsed(self, place: str, kind: Any) -> Any:
        try:
            return kind(**json.loads(self._read(place)))
        except (ValueError, TypeError) as error:
            raise _strange(self.url, f"{place} cannot be read: {error}") from error

    def _record(self, place: str, name: str, version: str) -> Record:
        record = self._parsed(place, Record)
        if (record.name, record.version) != (name, version):
            raise _strange(self.url, f"{place} tells of {record.name}:{record.version}")
        return record

    def _put(self, path: Path, place: str) -> None:
        """One file, whole or absent: object stores do so themselves."""
        if not self._local:
            self._fs.put_file(str(path), place)
            return
        temporary = self._beside(place)
        try:
            self._fs.put_file(str(path), temporary)
            os.replace(temporary, place)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def _write(self, place: str, value: dict[str, Any]) -> None:
        content = json.dumps(value, ensure_ascii=False, indent=2).encode()
        if not self._local:
            self._fs.pipe_file(place, content)
            return
        temporary = self._beside(place)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, place)

    def _beside(self, place: str) -> str:
        folder, _, name = place.rpartition("/")
        os.makedirs(folder, exist_ok=True)
        return f"{folder}/.{name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            with writing_errors(self._root) if self._local else contextlib.nullcontext():
                yield
        except ModelwrightError:
            raise
        except FileNotFoundError as error:
            raise _strange(self.url, f"something is missing: {redact(str(error))}") from error
        except Exception as error:  # every file system has errors of its own
            raise failed(self.url, error) from error


def declared_files(manifest: bytes) -> list[str]:
    """The files that a bundle.json declares, none of them outside of its folder."""
    try:
        names = json.loads(manifest)["files"]
        if all(isinstance(name, str) and is_inside(name) for name in names):
            return [PurePosixPath(name).as_posix() for name in names]
        seen = "it declares a file outside itself"
    except (ValueError, TypeError, KeyError) as error:
        seen = str(error)
    raise UserError(
        "MW-602",
        f"bundle.json of the registry cannot be used: {seen}",
        expected="a bundle as it was pushed",
        fix="do not use it; push the bundle again under a clean registry",
    )


def _is_name(name: str) -> bool:
    try:
        return bool(safe(name, "name"))
    except UserError:
        return False


def _is_event(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")


def _strange(url: str, seen: str) -> UserError:
    return UserError(
        "MW-652",
        f"{redact(url)} is no registry that can be used: {seen}",
        expected="files that `mw push` wrote",
        fix="restore the file, or push to another place",
    )
