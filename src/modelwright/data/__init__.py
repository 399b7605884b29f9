"""Rows from anywhere to a clean, split, accounted-for Dataset.

in:  data section of the recipe, the task          out: a Dataset folder with its ledger

source ─▶ canonical (the task checks a row) ─▶ cleaners ─▶ splits ─▶ cross-split check ─▶ Arrow
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelwright.data.stage import DataRequest, default_cleaners, run

__all__ = ["DataRequest", "default_cleaners", "run"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from modelwright.data import stage

        return getattr(stage, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
