"""What a true answer says of the answer that was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def truth_of(prediction: Mapping[str, Any]) -> Any:
    """What of a prediction a true answer is compared with; None where it is a structure."""
    for field in ("label", "labels", "value"):
        if field in prediction:
            return prediction[field]
    return None


def judge(answer: Any, label: Any) -> tuple[str, float] | None:
    """The metric and its value for one answer, or None where they cannot be compared."""
    if isinstance(answer, str) and isinstance(label, str):
        return "accuracy", float(answer == label)
    if isinstance(answer, list) and isinstance(label, list):
        return "exact_match", float(set(answer) == set(label))
    numbers = (int, float)
    if isinstance(answer, numbers) and isinstance(label, numbers):
        return "mae", abs(float(answer) - float(label))
    return None
