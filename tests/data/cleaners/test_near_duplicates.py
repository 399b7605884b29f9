"""The cleaner near-duplicates; the search itself is tested in test_neighbours.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LONG = "the parcel that I ordered on the first of March has still not arrived at my new address"


def test_later_rows_go_and_the_earlier_one_is_named_with_the_similarity(
    stage: Callable[..., Any], many: Callable[..., Any]
) -> None:
    table = [
        *many(40),
        {"text": LONG, "label": "class 0"},
        {"text": LONG.upper() + "!", "label": "class 0"},
        {"text": LONG + "?", "label": "class 1"},
        {"text": LONG.replace("parcel", "letter").replace("March", "June"), "label": "class 0"},
    ]
    made = stage({"source": table}, clean=["near-duplicates"])
    [entry] = made.entries
    assert (entry["row"], entry["reason"], entry["by"]) == (41, "near-duplicate", "near-duplicates")
    assert entry["detail"] == "0.99 like source.rows:42"
    notes = made.audit["cleaners"]["near-duplicates"]
    assert notes["rows"] == 1
    assert notes["conflicts"]["pairs"] == 1
    assert notes["conflicts"]["examples"][0]["rows"] == ["source.rows:44", "source.rows:42"]


def test_the_threshold_can_be_lowered(stage: Callable[..., Any], many: Callable[..., Any]) -> None:
    table = [{"text": LONG, "label": "class 0"}, {"text": LONG[:60], "label": "class 0"}, *many(40)]
    for threshold, dropped in ((0.85, 0), (0.6, 1)):
        made = stage({"source": table}, clean=[{"near-duplicates": {"threshold": threshold}}])
        assert len(made.dropped("near-duplicate")) == dropped


def test_cleaners_after_it_see_what_it_left(
    stage: Callable[..., Any], many: Callable[..., Any]
) -> None:
    table = [*many(40), *({"text": LONG + mark, "label": "class 0"} for mark in ("", "!"))]
    made = stage(
        {"source": table},
        clean=["near-duplicates", {"too-long": {"characters": 60}}, "normalize"],
        limits={"dropped": 0.1},
    )
    assert made.ledger["dropped"] == {"near-duplicate": 1, "too-long": 1}
