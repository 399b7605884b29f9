"""Inputs that occur with different targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from modelwright.data.rowstore import RowStore

_EXAMPLES = 5
_SHOWN_CHARACTERS = 80


def conflicting(rows: RowStore, among: np.ndarray) -> list[np.ndarray]:
    """Groups of row indices with one input and at least two targets, each in row order.

    Args:
        rows: all rows.
        among: bool [N], the rows to look at.
    """
    at = np.flatnonzero(among)
    keys, targets = rows.content_keys[at], rows.target_keys[at]
    order = np.argsort(keys, kind="stable")
    keys, targets, at = keys[order], targets[order], at[order]
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1]))) if len(at) else at
    if not len(starts):
        return []
    differs = np.maximum.reduceat(targets, starts) != np.minimum.reduceat(targets, starts)
    ends = np.append(starts[1:], len(at))
    return [at[starts[i] : ends[i]] for i in np.flatnonzero(differs)]


def describe_conflicts(rows: RowStore, groups: list[np.ndarray]) -> dict[str, Any]:
    """Counts and a few examples, for JSON."""
    groups = sorted(groups, key=lambda group: int(group[0]))
    examples = []
    for group in groups[:_EXAMPLES]:
        one_each = group[np.unique(rows.target_keys[group], return_index=True)[1]]
        one_each = np.sort(one_each)[:_EXAMPLES]
        content = rows.contents(one_each[:1])[0]
        table = rows.take(one_each, list(rows.kind.targets)).to_pylist()
        examples.append(
            {
                "text": content[:_SHOWN_CHARACTERS] if isinstance(content, str) else "(image)",
                "labels": [rows.kind.target(row)[:_SHOWN_CHARACTERS] for row in table],
                "rows": [rows.where(int(index)) for index in one_each],
            }
        )
    return {
        "texts": len(groups),
        "rows": int(sum(len(group) for group in groups)),
        "examples": examples,
    }
