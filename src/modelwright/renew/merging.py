"""Old and new rows side by side, with the origin of each, and a recipe that trains on both.

    ROUND/data/train.jsonl validation.jsonl test.jsonl     {"text", "label", "rows": old|new, "from"}
    ROUND/data/lineage.json                                how many rows came from where
    ROUND/recipe.yaml                                      the recipe, with these rows
    ROUND/NAME-VERSION/                                    its base: the old model

The old splits stay what they were, so that no old test row is ever learnt.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.artifacts.dataset import SPLITS, Dataset
from modelwright.artifacts.hashing import digest_file
from modelwright.errors import UserError
from modelwright.recipe.derive import plain
from modelwright.recipe.emit import inline
from modelwright.recipe.schema import Recipe
from modelwright.renew.labels import Labelled, split_off
from modelwright.runtime.files import read_json, write_json, write_text

VALIDATION = 0.15
"""Share of the new rows to learn from that choose the best epoch, beside the old validation rows."""
ROWS, FROM = "rows", "from"


@dataclass(frozen=True)
class Pools:
    """Rows by split as they go into training: those before this renewal, and the new ones."""

    old: dict[str, list[dict[str, Any]]]
    new: dict[str, list[dict[str, Any]]]


def old_rows(dataset: Dataset, earlier: Sequence[Path]) -> dict[str, list[dict[str, Any]]]:
    """The recipe's rows and what earlier renewals added, by split.

    Args:
        dataset: the recipe's.
        earlier: data folders of earlier renewals that were promoted.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for split in SPLITS:
        found[split] = [_kept(row) for row in dataset.rows(split)]
        for folder in earlier:
            found[split] += [row for row in _read(folder / f"{split}.jsonl") if row[ROWS] == "new"]
    return found


def merge(old: dict[str, list[dict[str, Any]]], new: Sequence[Labelled], share: float) -> Pools:
    """Divide the new rows: some to learn from, some to choose the epoch, some to test on."""
    learn, test = split_off(new, share)
    learn, choose = split_off(learn, VALIDATION) if len(learn) > 1 else (learn, [])
    if not old["validation"]:
        learn, choose = [*learn, *choose], []  # the data stage divides
    parts = {"train": learn, "validation": choose, "test": test}
    return Pools(
        old,
        {
            split: [{**one.row, ROWS: "new", FROM: one.origin} for one in rows]
            for split, rows in parts.items()
        },
    )


def write_rows(pools: Pools, folder: Path, sources: Sequence[str]) -> dict[str, Any]:
    """Write the rows and their lineage; returns the lineage."""
    written = {}
    for split in SPLITS:
        rows = [*pools.old[split], *pools.new[split]]
        if rows:
            lines = [json.dumps(row, ensure_ascii=False) for row in rows]
            write_text(folder / f"{split}.jsonl", "\n".join(lines) + "\n")
            written[split] = digest_file(folder / f"{split}.jsonl")
    lineage = {
        "old": {split: len(rows) for split, rows in pools.old.items()},
        "new": {split: len(rows) for split, rows in pools.new.items()},
        "sources": dict(
            Counter(
                "feedback" if row[FROM].startswith("feedback ") else row[FROM].rpartition(":")[0]
                for rows in pools.new.values()
                for row in rows
            )
        ),
        "asked_of": list(sources),
        "digests": written,
    }
    write_json(folder / "lineage.json", lineage)
    return lineage


def write_recipe(recipe: Recipe, folder: Path, round_folder: Path, base: str) -> Path:
    """The recipe with the merged rows and the old model as its base.

    Args:
        recipe: as the user wrote it.
        folder: of the recipe.
        round_folder: where `data/` and the base are.
        base: name of the base's folder in it.

    Raises:
        UserError: MW-653 for a recipe that only compresses.
    """
    values = _without_nothing(plain(recipe))
    if recipe.compress is not None:
        if recipe.compress.model is not None:
            raise UserError(
                "MW-653",
                "the recipe compresses a model that was trained elsewhere (`compress.model`)",
                expected="a recipe that trains",
                fix="train it with `base:` in a recipe of its own, and renew that",
            )
        if recipe.compress.unlabelled:
            values["compress"]["unlabelled"] = str((folder / recipe.compress.unlabelled).resolve())
    present = [split for split in SPLITS if (round_folder / "data" / f"{split}.jsonl").is_file()]
    splits = dict(plain(recipe.data.splits))
    kept = {name: splits[name] for name in ("validation", "test") if _is_share(splits.get(name))}
    files = {split: f"data/{split}.jsonl" for split in present}
    first = next(iter(_read(round_folder / "data" / "train.jsonl")))
    values["data"] = {
        **{name: value for name, value in values["data"].items() if name in ("clean", "augment")},
        "columns": {name: name for name in first if name not in (ROWS, FROM)},
        "slices": [ROWS],
        "splits": {**kept, **files},
        "limits": {"dropped": recipe.data.limits.dropped},
    }
    values["base"] = f"./{base}"
    head = (
        "# Written by `mw renew`: the recipe with old and new rows, going on from the old model.\n"
    )
    lines = [f"{name}: {inline(value)}\n" for name, value in values.items()]
    path = round_folder / "recipe.yaml"
    write_text(path, head + "".join(lines))
    return path


def reopen(folder: Path) -> Pools:
    """What `write_rows` wrote."""
    pools = Pools({}, {})
    for split in SPLITS:
        rows = _read(folder / f"{split}.jsonl")
        count = read_json(folder / "lineage.json")["old"][split]
        pools.old[split], pools.new[split] = rows[:count], rows[count:]
    return pools


def _kept(row: dict[str, Any]) -> dict[str, Any]:
    """The task's columns of a dataset's row, and where it came from."""
    content = {name: value for name, value in row.items() if not name.startswith(("_", "slice:"))}
    line = row["_line"] if row.get("_line") is not None else row.get("_row")
    return {**content, ROWS: "old", FROM: f"{row.get('_file')}:{line}"}


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _is_share(value: Any) -> bool:
    return isinstance(value, float) and not isinstance(value, bool)


def _without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nothing(one) for name, one in value.items() if one is not None}
    return value
