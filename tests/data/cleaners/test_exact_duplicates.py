"""The cleaner exact-duplicates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_the_first_of_equal_rows_stays_and_is_named(
    stage: Callable[..., Any], many: Callable[..., Any]
) -> None:
    table = [*many(40), *many(2), {"text": many(1)[0]["text"], "label": "class 1"}]
    made = stage({"source": table}, clean=["exact-duplicates"], leaks="report")
    assert made.dropped("exact-duplicate") == [("source", 40), ("source", 41)]
    assert [entry["detail"] for entry in made.entries] == [
        "same as source.rows:2",
        "same as source.rows:3",
    ]
    assert made.audit["cleaners"]["exact-duplicates"]["rows"] == 2


def test_a_test_file_keeps_its_repetitions(
    stage: Callable[..., Any], many: Callable[..., Any]
) -> None:
    test = [*many(5, start=60), *many(5, start=60)]
    made = stage({"train": many(40), "test": test}, clean=["exact-duplicates"])
    assert made.dataset.info.rows["test"] == 10
