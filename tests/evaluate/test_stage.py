"""What the evaluate stage promises, whatever the suites."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelwright import evaluate
from modelwright.errors import GateError, UserError
from modelwright.evaluate.stage import judge, smaller_is_better
from modelwright.recipe.schema import Part

KEYS = {
    "schema", "task", "split", "note", "rows", "main", "metrics", "suites", "limits", "seconds",
    "machine",
}  # fmt: skip


def test_the_report_is_returned_and_written(world: Any, tmp_path: Path) -> None:
    report = evaluate.run(world.request(tmp_path / "out"))
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    assert set(report) == KEYS
    assert report["split"] == "test"
    assert report["rows"] == world.dataset.info.rows["test"]


def test_the_main_metric_is_measured_with_an_interval_around_it(world: Any, tmp_path: Path) -> None:
    report = evaluate.run(world.request(tmp_path))
    main = report["metrics"][report["main"]]
    assert report["main"] == world.model.task.main_metric
    assert main["low"] <= main["value"] <= main["high"]


def test_the_metrics_are_those_of_the_task_on_all_rows(intents: Any, tmp_path: Path) -> None:
    report = evaluate.run(intents.request(tmp_path))
    evidence = intents.context().evidence
    values = {name: found["value"] for name, found in report["metrics"].items()}
    assert values == pytest.approx(evidence.scores())


def test_rows_are_answered_in_blocks_and_stay_in_order(intents: Any, monkeypatch: Any) -> None:
    from modelwright.evaluate import stage

    whole = intents.context()
    monkeypatch.setattr(stage, "_BLOCK_ROWS", 7)
    intents.model.batches.clear()
    blocks = intents.context()
    assert max(intents.model.batches) == 7
    assert np.array_equal(np.stack(whole.logits), np.stack(blocks.logits))
    assert [feature["example"] for feature in blocks.features] == list(range(300))


def test_an_empty_test_split_falls_back_to_validation_and_says_so(
    intents: Any, tmp_path: Path
) -> None:
    intents.dataset.info.rows["test"] = 0
    report = evaluate.run(intents.request(tmp_path))
    assert report["split"] == "validation"
    assert "validation" in report["note"]
    assert report["rows"] == 60


def test_no_held_out_row_at_all_is_the_users_to_mend(intents: Any, tmp_path: Path) -> None:
    intents.dataset.info.rows.update(test=0, validation=0)
    with pytest.raises(UserError) as raised:
        evaluate.run(intents.request(tmp_path))
    assert raised.value.problem.code == "MW-203"


def test_a_missed_limit_stops_the_run_after_the_report_is_written(
    intents: Any, tmp_path: Path
) -> None:
    with pytest.raises(GateError) as raised:
        evaluate.run(intents.request(tmp_path, limits={"accuracy": 0.99}))
    report = json.loads((tmp_path / "report.json").read_text())
    [limit] = report["limits"]
    assert not limit["met"]
    assert limit["short_by"] == pytest.approx(0.99 - report["metrics"]["accuracy"]["value"])
    [problem] = raised.value.problems
    assert problem.code == "MW-502"
    for said in ("accuracy", "0.99", "interval", f"{limit['value']:.4g}"):
        assert said in problem.seen
    assert "evaluate.limits.accuracy=" in problem.fix


def test_met_limits_pass(intents: Any, tmp_path: Path) -> None:
    report = evaluate.run(intents.request(tmp_path, limits={"accuracy": 0.5, "log_loss": 9.0}))
    assert [limit["met"] for limit in report["limits"]] == [True, True]


def test_a_limit_on_a_loss_is_a_ceiling() -> None:
    report = {"metrics": {"log_loss": {"value": 0.6, "low": 0.5, "high": 0.7}}}
    [limit] = judge({"log_loss": 0.4}, report)
    assert limit["at_most"]
    assert limit["short_by"] == pytest.approx(0.2)


def test_a_limit_on_speed_is_judged_by_the_speed_suite(intents: Any, tmp_path: Path) -> None:
    suites = [Part(name="speed", options={"seconds": 0.1, "batches": [1]})]
    with pytest.raises(GateError, match="p95_ms"):
        evaluate.run(intents.request(tmp_path, suites=suites, limits={"p95_ms": 1e-9}))


def test_a_limit_on_what_is_not_measured_names_the_nearest_metric(
    intents: Any, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as raised:
        evaluate.run(intents.request(tmp_path, limits={"acuracy": 0.9}))
    assert raised.value.problem.code == "MW-106"
    assert "`accuracy`" in raised.value.problem.fix


@pytest.mark.parametrize(
    ("metric", "smaller"),
    [("accuracy", False), ("rmse", True), ("mae", True), ("ece", True), ("log_loss", True),
     ("hamming_loss", True), ("p99_ms", True), ("f1", False), ("spearman", False)],
)  # fmt: skip
def test_errors_losses_and_times_are_better_when_smaller(metric: str, smaller: bool) -> None:
    assert smaller_is_better(metric) is smaller


def test_the_same_seed_gives_the_same_report(intents: Any, tmp_path: Path) -> None:
    suites = [Part(name="quality")]
    first, second = (
        evaluate.run(intents.request(tmp_path, suites=suites, seed=5)) for _ in range(2)
    )
    for report in (first, second):
        report.pop("seconds")
        for baseline in report["suites"]["quality"]["baselines"]:
            baseline.pop("seconds")
    assert first == second
