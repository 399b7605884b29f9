"""The cleaner label-conflicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("policy", "dropped"),
    [
        ("report", []),
        ("majority", [41, 43, 44]),
        ("first", [41, 44]),
        ("drop-all", [40, 41, 42, 43, 44]),
    ],
)
def test_each_policy_keeps_what_it_says(
    stage: Callable[..., Any], many: Callable[..., Any], policy: str, dropped: list[int]
) -> None:
    conflicting = [
        {"text": "three times", "label": "class 0"},
        {"text": "three times", "label": "class 1"},
        {"text": "three times", "label": "class 0"},
        {"text": "a tie", "label": "class 0"},
        {"text": "a tie", "label": "class 1"},
    ]
    made = stage(
        {"source": [*many(40), *conflicting]},
        clean=[{"label-conflicts": {"policy": policy}}],
        limits={"dropped": 0.5},
        leaks="report",
    )
    assert [row for _, row in sorted(made.dropped("label-conflict"))] == dropped
    assert made.audit["conflicts"]["texts"] == (2 if policy == "report" else 0)


def test_several_labels_are_no_conflict_in_multi_label_data(
    stage: Callable[..., Any], many: Callable[..., Any]
) -> None:
    table = [{**row, "label": [row["label"]]} for row in many(40)]
    table += [{"text": "both", "label": ["class 0"]}, {"text": "both", "label": ["class 1"]}]
    made = stage(
        {"source": table}, clean=[{"label-conflicts": {"policy": "drop-all"}}], leaks="report"
    )
    assert made.ledger["dropped"] == {}
