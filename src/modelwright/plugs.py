"""Finds a part by its file name; the only dynamic import in the product.

A plug is one file in its kind's folder: `data/cleaners/near_duplicates.py` is the cleaner
`near-duplicates`. `names` and `summary` read the folder and the syntax tree and import nothing;
`load` imports the one file asked for. Parts of other packages come through an entry point in the
group `modelwright.KIND`.

    names("task") -> ["image-classification", ...]       load("task", "text-classification") -> Plug
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from modelwright.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from pydantic import BaseModel

KINDS: dict[str, str] = {
    "task": "modelwright.tasks",
    "family": "modelwright.models.families",
    "engine": "modelwright.engines",
    "source": "modelwright.data.sources",
    "cleaner": "modelwright.data.cleaners",
    "augmenter": "modelwright.data.augmenters",
    "method": "modelwright.train.methods",
    "suite": "modelwright.evaluate.suites",
    "format": "modelwright.formats",
    "pass": "modelwright.compress.passes",
    "protocol": "modelwright.serve.protocols",
    "target": "modelwright.deploy.targets",
    "signal": "modelwright.monitor.signals",
}


@dataclass(frozen=True)
class Plug:
    """A loaded part: its module and the one class in it."""

    kind: str
    name: str
    module: ModuleType
    cls: type[Any]

    @property
    def config(self) -> type[BaseModel]:
        """The part's `Config` class (frozen, strict pydantic)."""
        return self.module.Config

    @property
    def version(self) -> int:
        return int(self.module.VERSION)

    @property
    def requires(self) -> dict[str, str]:
        """Optional libraries: import name -> extra that installs it."""
        return dict(getattr(self.module, "REQUIRES", {}))


def folder(kind: str) -> Path:
    """Where the built-in plugs of a kind live."""
    parts = KINDS[kind].split(".")[1:]
    return Path(__file__).parent.joinpath(*parts)


def _file(kind: str, name: str) -> Path:
    return folder(kind) / (name.replace("-", "_") + ".py")


@cache
def _external(kind: str) -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=f"modelwright.{kind}")}


def names(kind: str) -> list[str]:
    """Every part of a kind, built in and installed, sorted; nothing is imported."""
    own = {
        path.stem.replace("_", "-")
        for path in folder(kind).glob("*.py")
        if not path.name.startswith("_")
    }
    external = set(_external(kind))
    if shared := own & external:
        raise UserError(
            "MW-806",
            f"two parts of kind {kind} are named {sorted(shared)}",
            expected="one part a name",
            fix="uninstall the package that brings the second one",
        )
    return sorted(own | external)


def exists(kind: str, name: str) -> bool:
    """Whether a part is there, without listing the others where it is built in."""
    return (_is_plug_name(name) and _file(kind, name).is_file()) or name in _external(kind)


def _is_plug_name(name: str) -> bool:
    return bool(name) and not name.startswith("_") and name.replace("-", "").isalnum()


def summary(kind: str, name: str) -> str:
    """The first line of the part's docstring, read without importing it."""
    path = _file(kind, name)
    if not path.is_file():
        return f"from {_external(kind)[name].value}"
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.split("\n", 1)[0]


@cache
def load(kind: str, name: str) -> Plug:
    """Import one part.

    Raises:
        UserError: MW-105 for an unknown name, MW-806 when the file breaks the plug contract.
    """
    if not exists(kind, name):
        raise UserError(
            "MW-105",
            f"there is no {kind} named `{name}`",
            expected=f"one of: {', '.join(names(kind))}",
            fix=did_you_mean(name, names(kind)),
        )
    if _file(kind, name).is_file():
        module = importlib.import_module(f"{KINDS[kind]}.{name.replace('-', '_')}")
    else:
        module = _external(kind)[name].load()
    return Plug(kind=kind, name=name, module=module, cls=_class_of(kind, module))


def _class_of(kind: str, module: ModuleType) -> type[Any]:
    interface = importlib.import_module(KINDS[kind]).INTERFACE
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, interface)
        and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise UserError(
            "MW-806",
            f"{module.__name__} holds {len(found)} classes of {interface.__name__}",
            expected="exactly one final class",
            fix=f"define one class that derives from {interface.__name__} in that file",
        )
    return found[0]
