"""The files and folders that a recipe names: what their paths mean, whether they are there."""

from __future__ import annotations

import glob
import os
from pathlib import Path as FilePath

from modelwright.errors import nearest
from modelwright.recipe.places import Path, dotted
from modelwright.recipe.schema import Recipe
from modelwright.recipe.shape import Finding

_GLOB = frozenset("*?[")


def is_url(location: str) -> bool:
    """Whether a location is read through a protocol rather than as a path."""
    return "://" in location


def locate(location: str, folder: FilePath) -> str:
    """A path of the recipe as an absolute path (URLs stay); `folder` is the recipe's own."""
    if is_url(location):
        return location
    return os.path.normpath(folder / FilePath(location).expanduser())


def looks_like_path(base: str) -> bool:
    """Whether `base` names a folder rather than a catalogue entry or a hub id."""
    return base.startswith((".", "/", "~")) or "\\" in base


PATHS: tuple[Path, ...] = (
    ("data", "source"),
    ("data", "splits", "train"),
    ("data", "splits", "validation"),
    ("data", "splits", "test"),
    ("compress", "model"),
    ("compress", "unlabelled"),
    ("base",),
)
"""Where a recipe names files."""


def moved(path: Path, text: str, folder: FilePath, into: FilePath) -> str:
    """The same file as seen from a recipe in another folder; what is not relative stays."""
    relative = path in PATHS and not is_url(text) and not text.startswith(("${", "~", "/"))
    if not relative or (path == ("base",) and not looks_like_path(text)):
        return text
    return os.path.relpath(folder / text, into)


def check_files(recipe: Recipe, folder: FilePath) -> list[Finding]:
    """MW-107 for every local file or folder that is missing or unreadable."""
    found: list[Finding | None] = []
    for path in PATHS:
        value: object = recipe
        for step in path:
            value = getattr(value, str(step), None)
        if isinstance(value, str) and (path != ("base",) or looks_like_path(value)):
            found.append(_check(path, value, folder))
    return [finding for finding in found if finding]


def _check(path: Path, text: str, folder: FilePath) -> Finding | None:
    if is_url(text):
        return None
    if not text.strip():
        return Finding(path, "MW-107", f"`{dotted(path)}` is empty", "a file or folder", "name one")
    location = locate(text, folder)
    is_glob = bool(_GLOB & set(text))
    try:
        if os.path.exists(whole := _outside_zip(location)):
            return _unreadable(path, text, whole)
        if is_glob and glob.glob(location, recursive=True):
            return None
    except (OSError, ValueError) as error:
        return Finding(path, "MW-107", f"`{text}` cannot be read: {error}", "a file or folder")
    return _missing(path, text, location, "no file matches" if is_glob else "there is no")


def _outside_zip(location: str) -> str:
    """`photos.zip` of `photos.zip/train`: what lies inside an archive is found when it is read."""
    at = location.lower().find(".zip/")
    return location if at < 0 else location[: at + 4]


def _unreadable(path: Path, text: str, location: str) -> Finding | None:
    if os.access(location, os.R_OK):
        return None
    return Finding(
        path,
        "MW-107",
        f"`{dotted(path)}: {text}` cannot be read: permission denied",
        "a readable file or folder",
        f"chmod u+r {location}",
    )


def _missing(path: Path, text: str, location: str, what: str) -> Finding:
    seen = f"`{dotted(path)}: {text}`: {what} {location}"
    return Finding(path, "MW-107", seen, _expected(path), _fix(path, text, location))


def _expected(path: Path) -> str:
    kind = "a folder with a model" if path == ("base",) else "a file or folder"
    return f"{kind}; paths are relative to the recipe"


def _fix(path: Path, text: str, location: str) -> str:
    """The nearest name that is there: in the folder asked for, or one folder up the path."""
    parent, name = os.path.split(location)
    if not os.path.isdir(parent):
        while parent and not os.path.isdir(parent):
            parent, name = os.path.split(parent)
        missing = os.path.join(parent, name)
        close = nearest(name, _names(parent))
        hint = f"; did you mean `{close}`?" if close else ""
        return f"the folder {missing} does not exist{hint}"
    names = _names(parent)
    close = nearest(name, names)
    if close is None:
        stem = name.split(".")[0].lower()
        close = next((other for other in names if other.split(".")[0].lower() == stem), None)
    if close:
        return f"did you mean `{text[: len(text) - len(name)]}{close}`?"
    if path[0] == "data" and "/" not in text and "." not in text:
        return f"write hf://{text} for a data set of the hub, or the path of a file"
    shown = ", ".join(names[:8])
    return f"that folder holds: {shown}" if shown else "that folder is empty"


def _names(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder or ".") if not name.startswith("."))
    except OSError:
        return []
