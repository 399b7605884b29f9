"""The folder that keeps artifacts by key; a killed run leaves no half artifact in it.

store/dataset-3f2a.../manifest.json ...     whole artifacts
store/.scratch/checkpoint-9be1.../          work that a killed run goes on from
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from modelwright.artifacts.hashing import digest_files, digest_json
from modelwright.errors import UserError
from modelwright.runtime.files import fsync_folder, read_json, write_json, writing_errors

SCHEMA = 1
MANIFEST = "manifest.json"


@dataclass
class Manifest:
    """What an artifact is and where it came from."""

    kind: str
    key: str
    inputs: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    plugs: dict[str, int] = field(default_factory=dict)
    libraries: dict[str, str] = field(default_factory=dict)
    seed: int = 0
    seconds: float = 0.0
    peak_mb: float = 0.0
    created: str = ""
    schema: int = SCHEMA
    files: dict[str, str] = field(default_factory=dict)


def make_key(kind: str, determinants: dict[str, Any]) -> str:
    """`KIND-` and 16 hexadecimal digits of the hash of what determines the artifact."""
    return f"{kind}-{digest_json([kind, SCHEMA, determinants])[:16]}"


def now() -> str:
    """UTC time in ISO 8601, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Store:
    """Artifacts by key under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        return self.root / key

    def has(self, key: str) -> bool:
        """Whether a whole artifact with this key is there."""
        return (self.path(key) / MANIFEST).is_file()

    def manifest(self, key: str) -> Manifest:
        """Read an artifact's manifest.

        Raises:
            UserError: MW-604 when it is damaged or of a newer schema.
        """
        return read_manifest(self.path(key))

    def scratch(self, key: str) -> Path:
        """A folder for work in progress on `key`; kept until the artifact is whole."""
        folder = self.root / ".scratch" / key
        with writing_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def create(self, manifest: Manifest) -> Iterator[Path]:
        """Yield an empty folder; on success it becomes the artifact, on failure it is removed."""
        with writing_errors(self.root):
            temporary = self.root / f".{manifest.key}.{os.getpid()}.tmp"
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
        try:
            yield temporary
            with writing_errors(self.root):
                self._seal(temporary, manifest)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(self.root / ".scratch" / manifest.key, ignore_errors=True)

    def _seal(self, temporary: Path, manifest: Manifest) -> None:
        manifest.created = manifest.created or now()
        manifest.files = digest_files(temporary, skip=frozenset({MANIFEST}))
        write_json(temporary / MANIFEST, asdict(manifest))
        for folder in [temporary, *(path for path in temporary.rglob("*") if path.is_dir())]:
            fsync_folder(folder)
        final = self.path(manifest.key)
        if final.exists():
            shutil.rmtree(final)
        os.replace(temporary, final)
        fsync_folder(self.root)


def read_manifest(folder: Path) -> Manifest:
    """Read `folder/manifest.json`; MW-604 when damaged or newer than this release."""
    try:
        values = read_json(folder / MANIFEST)
        if values["schema"] > SCHEMA:
            raise _damaged(folder, f"its schema {values['schema']} is newer than {SCHEMA}")
        return Manifest(**values)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _damaged(folder, str(error)) from error


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file with its digest; MW-604 names the first that differs."""
    found = digest_files(folder, skip=frozenset({MANIFEST}))
    for name in sorted(found.keys() | manifest.files.keys()):
        if found.get(name) != manifest.files.get(name):
            raise _damaged(folder, f"{name} is missing, changed or not declared")


def _damaged(folder: Path, why: str) -> UserError:
    return UserError(
        "MW-604",
        f"the artifact {folder.name} cannot be used: {why}",
        expected="a folder as the run wrote it",
        fix=f"delete {folder} and run again; it is made anew",
        file=str(folder),
    )
