"""What a run's folder holds, read without complaint: a missing or damaged file is only noted."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelwright.runtime.files import read_json

_FILES = {
    "run": "run.json",
    "ledger": "ledger.json",
    "bundle": "bundle/bundle.json",
    "dataset": "details/dataset.json",
    "training": "details/training.json",
    "report": "details/report.json",
    "compression": "details/compression.json",
}
_WHERE_RUN = {"compression"}
"""Files of stages that a recipe may leave out: their absence is nothing to note."""
_RECIPE = "recipe.resolved.yaml"


@dataclass
class Run:
    """The files of a run by name, `{}` for one that is not there.

    Attributes:
        missing: files that are not there or cannot be read, as (path, why).
    """

    name: str
    run: dict[str, Any] = field(default_factory=dict)
    ledger: dict[str, Any] = field(default_factory=dict)
    bundle: dict[str, Any] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    compression: dict[str, Any] = field(default_factory=dict)
    recipe: str = ""
    missing: list[tuple[str, str]] = field(default_factory=list)

    @property
    def quality(self) -> dict[str, Any]:
        """The quality suite's part of the report."""
        return self.report.get("suites", {}).get("quality", {})

    @property
    def speed(self) -> dict[str, Any]:
        """The speed suite's part of the report."""
        return self.report.get("suites", {}).get("speed", {})

    def setting(self, key: str) -> str:
        """A plain top-level value of the resolved recipe, or ""."""
        found = re.search(rf"^{re.escape(key)}:[ \t]*([^\n]*)", self.recipe, re.MULTILINE)
        if not found:
            return ""
        return re.sub(r"\s+#.*$", "", found.group(1)).strip().strip("'\"")


def read(folder: Path) -> Run:
    """Read every file that is there."""
    found = Run(name=folder.resolve().name)
    for attribute, path in _FILES.items():
        if attribute in _WHERE_RUN and not (folder / path).is_file():
            continue
        setattr(found, attribute, _object(folder / path, path, found.missing))
    try:
        found.recipe = (folder / _RECIPE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found.missing.append((_RECIPE, _reason(error)))
    return found


def _object(path: Path, name: str, missing: list[tuple[str, str]]) -> dict[str, Any]:
    try:
        value = read_json(path)
    except (OSError, ValueError) as error:
        missing.append((name, _reason(error)))
        return {}
    if not isinstance(value, dict):
        missing.append((name, "damaged"))
        return {}
    return value


def _reason(error: Exception) -> str:
    return "absent" if isinstance(error, FileNotFoundError) else "damaged"
