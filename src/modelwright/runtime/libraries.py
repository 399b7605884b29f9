"""Optional libraries: present or not, and which extra installs a missing one."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from collections.abc import Mapping
from importlib import metadata
from types import ModuleType
from typing import Any

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


def openvino() -> Any:
    """OpenVINO without its telemetry, which importing it would send unasked."""
    _silence_telemetry()
    return require("openvino", "openvino")


def nncf() -> Any:
    """NNCF without its telemetry and without its log on the console."""
    _silence_telemetry()
    library: Any = require("nncf", "openvino")
    library.set_log_level(logging.ERROR)
    return library


def _silence_telemetry() -> None:
    """Both libraries go on without the package that sends, if it cannot be imported."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault("openvino_telemetry", None)
