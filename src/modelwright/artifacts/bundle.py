"""A bundle's folder: reading bundle.json safely, writing it, checking every file's digest.

Nothing of a bundle is executed and no path leaves its folder: names in `files` and links are checked
before they are opened.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from modelwright.artifacts.hashing import digest_files, digest_json
from modelwright.errors import Problem, UserError
from modelwright.runtime.files import read_json, write_json

SCHEMA = 1
MANIFEST = "bundle.json"
_KINDS: dict[str, type] = {
    "schema": int, "name": str, "version": str, "task": str, "task_spec": dict, "variants": list,
    "default": str, "files": dict, "input": dict, "output": dict,
}  # fmt: skip
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


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
    if not isinstance(manifest, dict):
        raise _not_a_bundle(folder, "bundle.json holds no object")
    if missing := [key for key in _KINDS if key not in manifest]:
        raise _not_a_bundle(folder, f"bundle.json lacks {', '.join(missing)}")
    if manifest["schema"] != SCHEMA:
        why = f"its schema is {manifest['schema']!r}, this release knows {SCHEMA}"
        raise _not_a_bundle(folder, why, "upgrade modelwright")
    if why := _fault(manifest) or _link_out(folder):
        raise _not_a_bundle(folder, why)
    return manifest


def _fault(manifest: dict[str, Any]) -> str:
    """What keeps a manifest from being used safely, or nothing."""
    for key, kind in _KINDS.items():
        if not isinstance(manifest[key], kind):
            return f"`{key}` of bundle.json is {type(manifest[key]).__name__}"
    for name in manifest["files"]:
        if not is_inside(name):
            return f"it declares a file outside itself: {name!r}"
    for entry in manifest["variants"]:
        for key in ("name", "engine"):
            value = entry.get(key) if isinstance(entry, dict) else None
            if not isinstance(value, str) or not _PLAIN_NAME.fullmatch(value):
                return f"a variant's {key} is {value!r}"
    return "" if manifest["variants"] else "it holds no variant"


def _link_out(folder: Path) -> str:
    """What tells of a link in a bundle that leads out of it, or nothing."""
    root = folder.resolve()
    for path in folder.rglob("*"):
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            return f"{path.relative_to(folder).as_posix()} links out of it"
    return ""


def is_inside(name: str) -> bool:
    """Whether a declared path stays inside the folder it is relative to."""
    path = PurePosixPath(name)
    return bool(name) and "\\" not in name and not path.is_absolute() and ".." not in path.parts


def changed_files(folder: Path, manifest: dict[str, Any], variant: str = "") -> list[Problem]:
    """Files that are missing, changed or not declared, each as a problem (MW-602).

    Args:
        folder: of the bundle.
        manifest: of it.
        variant: the only one whose files are looked at; "" for all.
    """
    others = tuple(
        f"variants/{entry['name']}/"
        for entry in manifest["variants"]
        if variant and entry["name"] != variant
    )
    found = digest_files(folder, skip=frozenset({MANIFEST}), outside=others)
    declared = {
        name: digest for name, digest in manifest["files"].items() if not name.startswith(others)
    }
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
