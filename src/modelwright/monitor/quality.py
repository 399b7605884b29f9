"""How good the answers are: by what callers told afterwards, and by how sure the model was."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelwright.metrics.feedback import judge, truth_of
from modelwright.metrics.intervals import bootstrap_mean, wilson
from modelwright.monitor.answers import score_of
from modelwright.monitor.reliability import estimate, known_scores
from modelwright.monitor.sketches import score
from modelwright.monitor.tails import binomial_below, student_above

SAME = {"accuracy": "accuracy", "exact_match": "subset_accuracy", "mae": "mae"}
"""Metrics of feedback as a bundle's test names them."""
LESS_IS_BETTER = frozenset({"mae"})
Z95 = 1.96


@dataclass(frozen=True)
class Limits:
    """What is in order.

    Attributes:
        tolerance: points below the test's interval.
        alpha: p-value below which a metric alarms.
        rows: the last true answers that count.
    """

    tolerance: float
    alpha: float
    rows: int = 1_000


@dataclass(frozen=True)
class Quality:
    """A metric with its 95% interval.

    Attributes:
        metric: accuracy, exact_match or mae.
        value: over the rows.
        low: lower end.
        high: upper end.
        rows: that it speaks of.
        floor: the worst value that is still in order: the end of the test split's interval, less
            the tolerance; None where the bundle was not tested by this metric.
        score: 1 is the alarm: how surely the value is worse than the floor, on the scale of
            signals and within the same false alarms; 0 for an estimate, which alarms nobody.
    """

    metric: str
    value: float
    low: float
    high: float
    rows: int
    floor: float | None
    score: float = 0.0

    @property
    def broken(self) -> bool:
        """Whether it alarms."""
        return self.score >= 1.0


def told_of(feedback: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], Any]:
    """The true answer of each recorded one, in the order of their telling; the last one counts.

    Args:
        feedback: recorded rows, as they were written.
    """
    told: dict[tuple[str, int], Any] = {}
    for row in feedback:
        place = row["request_id"], row["index"]
        told.pop(place, None)
        try:
            told[place] = json.loads(row["label"])
        except (ValueError, TypeError):
            continue
    return told


def live(
    manifest: Mapping[str, Any],
    answers: Mapping[tuple[str, int], Mapping[str, Any]],
    told: Mapping[tuple[str, int], Any],
    limits: Limits,
) -> list[Quality]:
    """Quality of recorded answers whose truth was told.

    Args:
        manifest: of the bundle.
        answers: its predictions, by request and place in it.
        told: what `told_of` gave.
        limits: what is in order, and how many answers count.
    """
    values: dict[str, list[float]] = {}
    for place, label in told.items():
        if place in answers and (judged := judge(truth_of(answers[place]), label)) is not None:
            values.setdefault(judged[0], []).append(judged[1])
    return [
        _quality(manifest, metric, found[-limits.rows :], limits)
        for metric, found in values.items()
    ]


def _quality(
    manifest: Mapping[str, Any], metric: str, values: list[float], limits: Limits
) -> Quality:
    count, lowest = len(values), floor(manifest, metric, limits.tolerance)
    if metric in LESS_IS_BETTER:
        found = bootstrap_mean(np.array(values), seed=0)
    else:
        found = wilson(int(sum(values)), count)
    p = 1.0 if lowest is None else _as_bad(metric, np.array(values), lowest)
    return Quality(
        metric, float(found.value), float(found.low), float(found.high), count, lowest,
        score(p, limits.alpha),
    )  # fmt: skip


def _as_bad(metric: str, values: np.ndarray, lowest: float) -> float:
    """How probable values as bad as these [N] are when the metric is at its floor."""
    count = len(values)
    if metric not in LESS_IS_BETTER:
        return binomial_below(int(values.sum()), count, lowest)
    spread = float(values.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    return student_above(float(values.mean() - lowest) / spread, count - 1) if spread else 1.0


def floor(manifest: Mapping[str, Any], metric: str, tolerance: float) -> float | None:
    """The worst value of a metric that is in order."""
    tested = manifest.get("quality", {}).get("metrics", {}).get(SAME.get(metric, metric))
    if not tested:
        return None
    if metric in LESS_IS_BETTER:
        return float(tested["high"]) * (1 + tolerance / 100)
    return max(0.0, float(tested["low"]) - tolerance / 100)


def estimated(
    manifest: Mapping[str, Any],
    reliability: Mapping[str, Any] | None,
    answers: Sequence[Mapping[str, Any]],
    tolerance: float,
) -> Quality | None:
    """Accuracy without labels, by how often answers of each score were right on the test rows."""
    scores = known_scores([score_of(answer) for answer in answers])
    if reliability is None or not len(scores):
        return None
    value, error = estimate(reliability, scores)
    low, high = max(0.0, value - Z95 * error), min(1.0, value + Z95 * error)
    return Quality(
        "accuracy", value, low, high, len(scores), floor(manifest, "accuracy", tolerance)
    )
