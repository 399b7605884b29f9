"""A bundle's folder: reading bundle.json safely, writing it, checking every file's digest.

Nothing of a bundle is executed and no path leaves its folder: names in `files` are checked before
they are opened.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from modelwright.artifacts.hashing import digest_files, digest_json
from modelwright.errors import Problem, UserError
from modelwright.runtime.files import read_json, write_json

SCHEMA = 1
MANIFEST = "bundle.json"
_REQUIRED = ("schema", "name", "version", "task", "variants", "default", "files", "input", "output")


def read_bundle(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle.

    Raises:
        UserError: MW-601 when the folder is no bundle of a schema that this release knows.
    """
    if not (folder / MANIFEST).is_file():
        hint = folder / "bundle"
        fix = (
            f"did you mean {hint}?" if (hint / MANIFEST).is_file() else "`mw run RECIPE` makes one"
        )
        raise _not_a_bundle(folder, "there is no bundle.json in it", fix)
    try:
        manifest = read_json(folder / MANIFEST)
    except (OSError, ValueError) as error:
        raise _not_a_bundle(folder, f"bundle.json cannot be read: {error}") from error
    missing = [key for key in _REQUIRED if not isinstance(manifest, dict) or key not in manifest]
    if missing:
        raise _not_a_bundle(folder, f"bundle.json lacks {', '.join(missing)}")
    if not isinstance(manifest["schema"], int) or manifest["schema"] > SCHEMA:
        raise _not_a_bundle(
            folder,
            f"its schema is {manifest['schema']}, this release knows up to {SCHEMA}",
            "upgrade modelwright",
        )
    for name in manifest["files"]:
        if not is_inside(name):
            raise _not_a_bundle(folder, f"it declares a file outside itself: {name!r}")
    return manifest


def is_inside(name: str) -> bool:
    """Whether a declared path stays inside the folder it is relative to."""
    path = PurePosixPath(name)
    return bool(name) and "\\" not in name and not path.is_absolute() and ".." not in path.parts


def changed_files(folder: Path, manifest: dict[str, Any]) -> list[Problem]:
    """Files that are missing, changed or not declared, each as a problem (MW-602)."""
    found = digest_files(folder, skip=frozenset({MANIFEST}))
    declared: dict[str, str] = manifest["files"]
    problems: list[Problem] = []
    for name in sorted(found.keys() | declared.keys()):
        if name not in found:
            seen = "is missing"
        elif name not in declared:
            seen = "is not declared in bundle.json"
        elif found[name] != declared[name]:
            seen = f"has sha256 {found[name][:16]}..., not {declared[name][:16]}..."
        else:
            continue
        problems.append(
            Problem(
                code="MW-602",
                seen=f"{name} {seen}",
                expected="the files as they were packaged",
                fix="copy the bundle again, or package it anew with `mw run`",
                file=str(folder / name),
            )
        )
    if content_version(manifest) != manifest["version"]:
        problems.append(
            Problem(
                code="MW-602",
                seen="bundle.json does not match its own version",
                expected=f"version {content_version(manifest)}",
                fix="copy the bundle again, or package it anew with `mw run`",
                file=str(folder / MANIFEST),
            )
        )
    return problems


def content_version(manifest: dict[str, Any]) -> str:
    """12 hexadecimal digits over the whole manifest but `version` and `created`."""
    content = {key: value for key, value in manifest.items() if key not in ("version", "created")}
    return digest_json(content)[:12]


def seal_bundle(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Add digests and version, and write bundle.json last."""
    manifest["files"] = digest_files(folder, skip=frozenset({MANIFEST}))
    manifest["version"] = content_version(manifest)
    write_json(folder / MANIFEST, manifest)
    return manifest


def _not_a_bundle(folder: Path, why: str, fix: str = "package it anew with `mw run`") -> UserError:
    return UserError(
        "MW-601",
        f"{folder} is not a bundle: {why}",
        expected="a folder that `mw run` packaged",
        fix=fix,
        file=str(folder),
    )
