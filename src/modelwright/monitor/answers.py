"""What a kept prediction says, whatever the task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def labels_of(answer: Mapping[str, Any]) -> list[str]:
    """Its label, each of its labels, or each of its entities' labels."""
    if isinstance(answer.get("entities"), list):
        return [str(one.get("label")) for one in answer["entities"] if isinstance(one, Mapping)]
    if isinstance(answer.get("labels"), list):
        return [str(label) for label in answer["labels"]]
    return [str(answer["label"])] if answer.get("label") is not None else []


def score_of(answer: Mapping[str, Any]) -> float:
    """The score, the lowest of its entities' scores, or NaN."""
    if isinstance(answer.get("entities"), list):
        scores = [
            _number(one.get("score")) for one in answer["entities"] if isinstance(one, Mapping)
        ]
        return min(scores, default=math.nan)
    return _number(answer.get("score"))


def value_of(answer: Mapping[str, Any]) -> float:
    """The number that a regression answered, or NaN."""
    return _number(answer.get("value"))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan
