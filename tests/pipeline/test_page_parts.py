"""Scales, orders, advice and the rest from which the page is made."""

from __future__ import annotations

from typing import Any

import pytest

from modelwright.pipeline.page import _charts_quality, _charts_run, _svg
from modelwright.pipeline.page._advice import advise
from modelwright.pipeline.page._order import seriated
from modelwright.pipeline.page._run import Run
from modelwright.pipeline.page._view import recipe_lines


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.5, 1]), (0, 100, [0, 50, 100]), (0.83, 0.91, [0.85, 0.9]), (5, 5, [5, 5.5, 6])],
)
def test_ticks_are_round_and_inside(low: float, high: float, ticks: list[float]) -> None:
    assert _svg.Scale(low, high).ticks(3) == pytest.approx(ticks)


def test_a_scale_keeps_positions_inside() -> None:
    scale = _svg.Scale(0, 10)
    assert [scale.at(value) for value in (-5, 0, 5, 10, 99)] == [0, 0, 50, 100, 100]


def test_svg_text_and_attributes_are_escaped() -> None:
    made = _svg.tag("text", "<b>", data_x='"><i>')
    assert made == '<text data-x="&#34;&gt;&lt;i&gt;">&lt;b&gt;</text>'


def test_confused_classes_stand_side_by_side() -> None:
    matrix = [[0] * 10 for _ in range(10)]
    matrix[0][9] = 7
    matrix[9][4] = 5
    order = seriated(matrix)
    assert sorted(order) == list(range(10))
    assert abs(order.index(0) - order.index(9)) == 1
    assert abs(order.index(9) - order.index(4)) == 1


def test_few_classes_keep_their_order() -> None:
    assert seriated([[0, 9], [9, 0]]) == [0, 1]


def test_the_flow_draws_every_reason_and_split_however_few_its_rows() -> None:
    drawn = _charts_run.flow(1_000_000, 999_999, {"odd": 1}, {"train": 999_000, "test": 999})
    for name in ("rows in", "kept", "odd", "training", "test"):
        assert f"<title>{name} ·" in drawn


def test_a_flow_without_any_kept_row_is_drawn_too() -> None:
    assert "odd" in _charts_run.flow(5, 0, {"odd": 5}, {})


def test_few_classes_are_named_and_many_are_columns() -> None:
    def classes(count: int) -> list[dict[str, Any]]:
        shared = {"f1": 0.5, "precision": 0.5, "recall": 0.5, "support": 1, "train_rows": 3}
        return [{"name": f"c{i}", **shared} for i in range(count)]

    assert _charts_quality.class_bars(classes(4), 0.4).count("dot-label") == 4
    assert _charts_quality.class_bars(classes(40), 0.6).count("bar warn") == 40


def test_recipe_lines_part_values_from_their_origins() -> None:
    text = "# made by\nname: a # b\nseed: 0  # default\ndata:\n"
    assert recipe_lines(text) == [
        ("# made by", ""), ("name: a # b", ""), ("seed: 0", "default"), ("data:", ""),
    ]  # fmt: skip


def test_settings_are_read_from_the_recipe_without_their_comments() -> None:
    run = Run("folder", recipe="name: 'my-run'  # recipe, line 1\ntask: x\ndata:\n  name: no\n")
    assert (run.setting("name"), run.setting("task"), run.setting("absent")) == ("my-run", "x", "")


def report(**quality: Any) -> dict[str, Any]:
    return {
        "rows": 1000, "main": "accuracy", "split": "test", "limits": [],
        "metrics": {"accuracy": {"value": 0.9, "low": 0.89, "high": 0.91}},
        "suites": {"quality": {"wrong": 100, **quality}},
    }  # fmt: skip


def keys(run: Run) -> list[str]:
    return [advice.key for advice in advise(run)]


def test_a_run_without_faults_gets_no_advice() -> None:
    assert keys(Run("r", report=report())) == []


def test_a_missed_limit_and_a_better_baseline_come_before_all_else() -> None:
    lead = {"value": -0.02, "low": -0.03, "high": -0.01}
    baseline = {"name": "linear-tfidf", "metric": "accuracy", "value": 0.92, "difference": lead}
    found = report(baselines=[baseline], mislabelled={"count": 500, "rows": []})
    found["limits"] = [{"metric": "accuracy", "value": 0.9, "limit": 0.95, "met": False}]
    assert keys(Run("r", report=found)) == ["limit", "baseline-ahead", "labels-test"]


def test_confused_pairs_are_named_once_with_both_directions() -> None:
    pairs = [
        {"gold": "a", "predicted": "b", "count": 30, "back": 10},
        {"gold": "b", "predicted": "a", "count": 10, "back": 30},
    ]
    [advice] = advise(Run("r", report=report(confusion={"pairs": pairs})))
    assert advice.key == "pair"
    assert advice.values["count"] == "40"
    assert advice.reward == pytest.approx(0.04)


def test_weak_classes_with_few_training_rows_ask_for_rows() -> None:
    def row(name: str, f1: float, rows: int) -> dict[str, Any]:
        return {"name": name, "f1": f1, "recall": f1, "support": 50, "train_rows": rows}

    classes = [row("rare", 0.5, 5), row("hard", 0.5, 100), row("x", 0.95, 100), row("y", 0.9, 100)]
    found = report(classes=classes, averages={"macro": {"f1": 0.7}})
    assert [a.values["name"] for a in advise(Run("r", report=found))] == ["rare"]


def test_duplicates_that_were_dropped_are_no_fault_of_the_data() -> None:
    assert keys(Run("r", ledger={"in": 100, "dropped": {"exact-duplicate": 40}})) == []
    assert keys(Run("r", ledger={"in": 100, "dropped": {"missing-label": 4}})) == ["dropped"]


def test_leaks_left_in_place_make_the_figures_untrustworthy() -> None:
    audit = {"leaks": {"removed": False, "duplicates": {"rows": 9}}}
    [advice] = advise(Run("r", dataset={"audit": audit, "rows": {"train": 100}}))
    assert (advice.key, advice.urgent) == ("leaks", True)


def test_a_wide_interval_says_how_many_rows_would_narrow_it() -> None:
    found = report() | {"rows": 100}
    found["metrics"]["accuracy"] = {"value": 0.9, "low": 0.84, "high": 0.96}
    [advice] = advise(Run("r", report=found))
    assert advice.key == "few-test-rows"
    assert advice.values["needed"] == "3,600"


def test_quality_still_rising_at_the_end_asks_for_more_epochs() -> None:
    checks = [{"epoch": e, "step": e, "accuracy": 0.1 * e} for e in (1, 2, 3)]
    best = {"epoch": 3, "step": 3, "metric": "accuracy", "value": 0.3}
    assert keys(Run("r", training={"evaluations": checks, "best": best})) == ["longer"]


@pytest.mark.parametrize(
    ("confidence", "key"),
    [(0.97, "overconfident-temperature"), (0.8, "underconfident-temperature")],
)
def test_confidence_that_is_off_is_named(confidence: float, key: str) -> None:
    found = {"of": "rows", "ece": 0.07, "mean_confidence": confidence, "accuracy": 0.9,
             "temperature": 1.4, "ece_at_temperature": 0.01}  # fmt: skip
    assert keys(Run("r", report=report(calibration=found))) == [key]
