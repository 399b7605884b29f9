"""Optional libraries: present or not, and which extra installs a missing one."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from importlib import metadata
from types import ModuleType

from modelwright.errors import UserError


def installed(name: str) -> bool:
    """Whether a top-level module can be imported, without importing it."""
    return importlib.util.find_spec(name) is not None


def require(name: str, extra: str) -> ModuleType:
    """Import a library, or say which extra brings it (MW-801)."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise missing(name, extra) from error


def require_all(requires: Mapping[str, str]) -> None:
    """Check a plug's REQUIRES without importing."""
    for name, extra in requires.items():
        if not installed(name.split(".")[0]):
            raise missing(name, extra)


def missing(name: str, extra: str) -> UserError:
    """The error for a library that is not there."""
    return UserError(
        "MW-801",
        f"the library `{name}` is not installed",
        expected=f"modelwright installed with its extra `{extra}`",
        fix=f'pip install "modelwright[{extra}]"',
    )


def versions(*names: str) -> dict[str, str]:
    """Installed versions by distribution name; absent ones are left out."""
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
