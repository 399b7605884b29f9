"""Opens what the recipe names: a source for each split, or one pool."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.data.columns import map_columns
from modelwright.data.reading import Input, holds_lists
from modelwright.errors import UserError

if TYPE_CHECKING:
    from modelwright.data.sources import Source
    from modelwright.recipe.schema import Data
    from modelwright.tasks import Task

Opener = Callable[[str, str, dict[str, Any]], "Source"]
POOL = "source"
"""Name, in the ledger, of rows from `data.source`, which belong to no split yet."""


def locations(data: Data) -> list[tuple[str, str]]:
    """(split, location) of everything to read, training rows first; a file for them wins over
    `data.source`.

    Raises:
        UserError: MW-208 when it isn't clear where training rows come from.
    """
    splits = data.splits
    if splits.train is None and data.source is None:
        raise UserError(
            "MW-208",
            "nothing says where the training rows are",
            expected="`data.source` or `data.splits.train`",
            fix="add `data: {source: FILE}`",
        )
    found = [("train", splits.train)] if splits.train else [(POOL, str(data.source))]
    for name in ("validation", "test"):
        value = getattr(splits, name)
        if isinstance(value, str):
            found.append((name, value))
    return found


def open_inputs(data: Data, task: type[Task], folder: Path, opener: Opener | None) -> list[Input]:
    """Open every source and map its columns."""
    if opener is None:
        from modelwright.data.sources._opening import open_source

        opener = open_source
    inputs = []
    for split, location in locations(data):
        source = opener(absolute(location, folder), data.format, dict(data.options))
        inputs.append(Input(split, source, map_columns(source, data, task)))
    return inputs


def absolute(location: str, folder: Path) -> str:
    """A path relative to the recipe made absolute; URLs as they are."""
    if "://" in location:
        return location
    return str(folder / Path(location).expanduser())


def settled_options(
    task: type[Task], options: dict[str, Any], inputs: list[Input]
) -> dict[str, Any]:
    """The task's options with `multi_label` found from the data where it wasn't set."""
    config = getattr(sys.modules.get(task.__module__), "Config", None)
    if "multi_label" not in getattr(config, "model_fields", {}):
        return dict(options)
    if options.get("multi_label") is not None:
        return dict(options)
    return {**options, "multi_label": holds_lists(inputs[0], "label")}
