"""What is found between splits and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modelwright.errors import GateError, UserError

Runner = Callable[..., Any]
Maker = Callable[..., list[dict[str, Any]]]
LONG = "the parcel that I ordered on the first of March has still not arrived at my new address"


def test_equal_texts_leave_train_before_validation_and_never_test(
    stage: Runner, many: Maker
) -> None:
    train, validation, test = many(40), many(10, start=40), many(10, start=60)
    in_all, in_two = test[0], validation[1]
    tables = {
        "train": [*train, in_all, in_two],
        "validation": [*validation, in_all],
        "test": test,
    }
    made = stage(tables)
    assert sorted(made.dropped("cross-split-duplicate")) == [
        ("train", 40), ("train", 41), ("validation", 10),
    ]  # fmt: skip
    report = made.audit["leaks"]["duplicates"]
    assert report["rows"] == 3
    assert (report["train and test"], report["validation and test"]) == (1, 1)
    assert report["train and validation"] == 1
    assert report["examples"][0]["like"].endswith(":2")


def test_nearly_equal_texts_of_one_label_leave_train(stage: Runner, many: Maker) -> None:
    like = [{"text": LONG, "label": "class 0"}]
    tables = {
        "train": [*many(40), {"text": LONG + "!", "label": "class 0"}],
        "test": many(9, 2, 50) + like,
    }
    made = stage(tables, clean=None)
    assert made.dropped("cross-split-near-duplicate") == [("train", 40)]
    assert made.dataset.info.rows["test"] == 10
    [entry] = [e for e in made.entries if e["reason"] == "cross-split-near-duplicate"]
    assert "like test.rows:11 (test)" in entry["detail"]


def test_nearly_equal_texts_of_different_labels_are_no_leak(stage: Runner, many: Maker) -> None:
    test = [*many(9, 2, 50), {"text": LONG, "label": "class 1"}]
    made = stage({"train": [*many(40), {"text": LONG + "!", "label": "class 0"}], "test": test})
    assert made.ledger["dropped"] == {}


def test_the_check_runs_without_the_cleaner_too(stage: Runner, many: Maker) -> None:
    near = [
        {"text": f"{LONG}{mark}", "label": "class 0"} for mark in ("", "!", "?", ".", "..", " ok")
    ]
    made = stage({"source": [*many(60), *near]}, clean=[], splits={"test": 0.4, "validation": 0.0})
    held = [
        split for split in ("train", "test") if any(t.startswith(LONG) for t in made.texts(split))
    ]
    assert len(held) == 1


def test_leaks_can_be_left_in_and_reported(stage: Runner, many: Maker) -> None:
    rows = many(40)
    made = stage({"train": rows, "test": rows[:5]}, leaks="report")
    assert made.audit["leaks"]["duplicates"]["rows"] == 5
    assert made.ledger["dropped"] == {}


def test_a_group_of_the_test_file_is_not_trained_on(stage: Runner, many: Maker) -> None:
    def who(rows: list[dict[str, Any]], first: int) -> list[dict[str, Any]]:
        return [{**row, "who": first + n // 2} for n, row in enumerate(rows)]

    made = stage(
        {"train": who(many(40), 0), "test": who(many(4, 2, 60), 19)},
        splits={"groups": "who", "validation": 0.1},
        limits={"dropped": 0.1},
    )
    assert made.dropped("group-in-other-split") == [("train", 38), ("train", 39)]


def test_held_out_rows_of_a_class_without_training_rows_are_dropped(
    stage: Runner, many: Maker
) -> None:
    test = [*many(20, 2, 60), {"text": "never seen", "label": "new"}]
    made = stage({"train": many(60), "test": test})
    assert made.dropped("unknown-label") == [("test", 20)]
    assert made.audit["unknown_labels"] == {"new": 1}
    assert any("no training row has it" in warning for warning in made.audit["warnings"])


def test_a_test_file_of_other_classes_stops_the_run(stage: Runner, many: Maker) -> None:
    other = [{**row, "label": "x"} for row in many(20, 2, 60)]
    with pytest.raises(GateError) as caught:
        stage({"train": many(60), "test": other})
    assert "unknown-label 20" in caught.value.problems[0].seen


def test_a_train_file_that_is_all_in_test_is_refused(stage: Runner, many: Maker) -> None:
    with pytest.raises(UserError) as caught:
        stage({"train": many(30), "test": many(30)}, splits={"validation": 0.0})
    assert caught.value.problem.code == "MW-203"
    assert "cross-split-duplicate 30" in caught.value.problem.seen


def test_a_train_file_wins_over_source(stage: Runner, many: Maker) -> None:
    found = stage({"source": many(200), "train": many(30)}, splits={"validation": 0.1})
    assert sum(found.dataset.info.rows.values()) == 30


def test_holding_out_everything_is_refused(stage: Runner, many: Maker) -> None:
    with pytest.raises(UserError) as caught:
        stage({"source": many(30)}, splits={"validation": 0.5, "test": 0.5})
    assert caught.value.problem.code == "MW-208"
    assert "validation: 0.5, test: 0.5" in caught.value.problem.seen
