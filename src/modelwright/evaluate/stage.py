"""The evaluate stage: answers every test row once, measures, runs the suites, checks the limits.

The report is written before a limit is judged, so that a run that fails a gate can be looked at.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from modelwright import plugs
from modelwright.artifacts.dataset import Dataset
from modelwright.errors import GateError, UserError, did_you_mean
from modelwright.evaluate import Model
from modelwright.evaluate.suites import Context
from modelwright.recipe.combinations import SPEED_LIMITS
from modelwright.recipe.schema import Part
from modelwright.runtime import libraries, machine, progress
from modelwright.runtime.files import write_json

SCHEMA = 1
_SMALLER_IS_BETTER = ("loss", "error", "ece", "rmse", "mae", "perplexity", "_ms")
_BLOCK_ROWS = 512


@dataclass(frozen=True)
class EvaluateRequest:
    """What the stage is asked.

    Attributes:
        suites: the recipe's `evaluate.suites`, derived.
        model: the model under test.
        dataset: cleaned rows by split.
        folder: where `report.json` is written.
        seed: of every random choice.
        limits: lowest value accepted by metric (highest, where smaller is better).
        split: the rows judged; validation takes its place when it is empty.
    """

    suites: Sequence[Part]
    model: Model
    dataset: Dataset
    folder: Path
    seed: int = 0
    limits: Mapping[str, float] = field(default_factory=dict)
    split: str = "test"


def run(request: EvaluateRequest) -> dict[str, Any]:
    """Measure the model and write `report.json` into `request.folder`.

    Returns:
        The report: `schema`, `task`, `split`, `note`, `rows`, `main`, `metrics`, `suites`,
        `limits`, `seconds`, `machine`.

    Raises:
        UserError: MW-203 without rows to judge, MW-106 for a limit on what is not measured.
        GateError: MW-502, after the report is written.
    """
    split, note = _split_with_rows(request)
    suites = [_suite(part) for part in request.suites]
    context = answer(request, split)
    _check_limit_names(request, context.metrics)
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "task": context.task.name,
        "split": split,
        "note": note,
        "rows": len(context.rows),
        "main": context.task.main_metric,
        "metrics": {name: asdict(value) for name, value in context.metrics.items()},
        "suites": {},
        "limits": [],
        "seconds": {},
        "machine": machine.describe(),
    }
    for name, suite in suites:
        started = time.perf_counter()
        report["suites"][name] = suite.measure(context)
        report["seconds"][name] = round(time.perf_counter() - started, 3)
    report["limits"] = judge(request.limits, report)
    write_json(request.folder / "report.json", report)
    _raise_unmet(report["limits"])
    return report


def answer(request: EvaluateRequest, split: str) -> Context:
    """Run the model over every row of a split, in blocks of bounded memory."""
    rows = request.dataset.rows(split)
    task, model = request.model.task, request.model
    features: list[dict[str, Any]] = []
    logits: list[Any] = []
    with progress.bar(f"evaluate on {split}", len(rows)) as shown:
        for start in range(0, len(rows), _BLOCK_ROWS):
            block = rows[start : start + _BLOCK_ROWS]
            encoded = task.encode([task.example(row) for row in block], model.encoder)
            logits.extend(model.logits(encoded))
            features.extend(_slim(feature, index, start) for index, feature in enumerate(encoded))
            shown.advance(len(block))
    evidence = task.evidence(rows, logits, features)
    return Context(
        task=task,
        model=model,
        dataset=request.dataset,
        split=split,
        rows=rows,
        features=features,
        logits=logits,
        evidence=evidence,
        metrics=evidence.intervals(seed=request.seed),
        seed=request.seed,
    )


def _slim(feature: Mapping[str, Any], index: int, start: int) -> dict[str, Any]:
    """A feature numbered within the split; pixels, which no judge reads, are let go."""
    kept = {key: value for key, value in feature.items() if getattr(value, "ndim", 1) < 2}
    return {**kept, "example": feature.get("example", index) + start}


def judge(limits: Mapping[str, float], report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each limit with what was measured, whether it is met, and by how much it is not."""
    found = []
    for metric, limit in limits.items():
        measured = report["metrics"].get(metric) or _speed(metric, report)
        smaller = smaller_is_better(metric)
        short = measured["value"] - limit if smaller else limit - measured["value"]
        found.append(
            {
                "metric": metric,
                "limit": limit,
                "at_most": smaller,
                "value": measured["value"],
                "low": measured.get("low"),
                "high": measured.get("high"),
                "met": short <= 0,
                "short_by": max(0.0, short),
            }
        )
    return found


def smaller_is_better(metric: str) -> bool:
    """Whether a metric is an error, a loss or a time."""
    return any(metric == mark or metric.endswith(mark) for mark in _SMALLER_IS_BETTER)


def _split_with_rows(request: EvaluateRequest) -> tuple[str, str]:
    rows = request.dataset.info.rows
    if rows.get(request.split, 0):
        return request.split, ""
    if rows.get("validation", 0):
        note = (
            f"the split `{request.split}` is empty: measured on the validation rows, which also "
            "chose the best epoch, so the figures are a little too good"
        )
        progress.say(f"  note: {note}")
        return "validation", note
    raise UserError(
        "MW-203",
        f"neither `{request.split}` nor `validation` holds a row to evaluate on",
        expected="rows that training has not seen",
        fix="set `data.splits.test` to a file or to a fraction such as 0.1",
    )


def _suite(part: Part) -> tuple[str, Any]:
    plug = plugs.load("suite", part.name)
    libraries.require_all(plug.requires)
    return part.name, plug.cls(plug.config.model_validate(part.options))


def _check_limit_names(request: EvaluateRequest, metrics: Mapping[str, Any]) -> None:
    speed = SPEED_LIMITS if any(part.name == "speed" for part in request.suites) else ()
    known = [*metrics, *speed]
    for name in request.limits:
        if name not in known:
            raise UserError(
                "MW-106",
                f"`evaluate.limits` names `{name}`, which is not measured for this task",
                expected=f"one of: {', '.join(known)}",
                fix=did_you_mean(name, known),
            )


def _speed(metric: str, report: Mapping[str, Any]) -> dict[str, float]:
    """The speed of one row of usual length, or the rate on the real rows."""
    speed = report["suites"]["speed"]
    if metric == "rows_per_second":
        return {"value": speed["throughput"]["rows_per_second"]}
    return {"value": speed["latency"][0][metric]}


def _raise_unmet(limits: Sequence[Mapping[str, Any]]) -> None:
    unmet = [limit for limit in limits if not limit["met"]]
    if not unmet:
        return
    raise GateError(
        "MW-502",
        "; ".join(_sentence(limit) for limit in unmet),
        expected="; ".join(
            f"{limit['metric']} {'at most' if limit['at_most'] else 'at least'} {limit['limit']:g}"
            for limit in unmet
        ),
        fix="see report.html for what to mend first; or set a limit that is reachable: "
        + ", ".join(
            f"evaluate.limits.{limit['metric']}={_reachable(limit):.4g}" for limit in unmet
        ),
    )


def _sentence(limit: Mapping[str, Any]) -> str:
    sure = (
        "" if limit["low"] is None else f" (95% interval {limit['low']:.4g} to {limit['high']:.4g})"
    )
    side = "above" if limit["at_most"] else "below"
    return (
        f"{limit['metric']} is {limit['value']:.4g}{sure}, "
        f"{limit['short_by']:.4g} {side} the limit {limit['limit']:g}"
    )


def _reachable(limit: Mapping[str, Any]) -> float:
    if limit["low"] is None:
        return limit["value"]
    return limit["high"] if limit["at_most"] else limit["low"]
