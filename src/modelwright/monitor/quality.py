"""How good the answers are: by what callers told afterwards, and by how sure the model was."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelwright.metrics.feedback import judge, truth_of
from modelwright.metrics.intervals import bootstrap_mean, wilson
from modelwright.monitor.answers import score_of
from modelwright.monitor.reference import SCORE_EDGES

SAME = {"accuracy": "accuracy", "exact_match": "subset_accuracy", "mae": "mae"}
"""Metrics of feedback as a bundle's test names them."""
LESS_IS_BETTER = frozenset({"mae"})
Z95 = 1.96


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
    """

    metric: str
    value: float
    low: float
    high: float
    rows: int
    floor: float | None

    @property
    def broken(self) -> bool:
        """Whether the whole interval is worse than the floor."""
        if self.floor is None:
            return False
        return self.low > self.floor if self.metric in LESS_IS_BETTER else self.high < self.floor


def live(
    manifest: Mapping[str, Any],
    requests: Sequence[Mapping[str, Any]],
    feedback: Sequence[Mapping[str, Any]],
    tolerance: float,
) -> list[Quality]:
    """Quality of recorded answers whose truth was told; of several tellings the last counts.

    Args:
        manifest: of the bundle.
        requests: recorded rows, `prediction` restored.
        feedback: recorded true answers, as they were written.
        tolerance: points below the test's interval that are in order.
    """
    answers = {(row["request_id"], row["index"]): row["prediction"] for row in requests}
    told: dict[tuple[str, int], Any] = {}
    for row in feedback:
        try:
            told[row["request_id"], row["index"]] = json.loads(row["label"])
        except (ValueError, TypeError):
            continue
    values: dict[str, list[float]] = {}
    for place, label in told.items():
        if place in answers and (judged := judge(truth_of(answers[place]), label)) is not None:
            values.setdefault(judged[0], []).append(judged[1])
    return [_quality(manifest, metric, found, tolerance) for metric, found in values.items()]


def _quality(
    manifest: Mapping[str, Any], metric: str, values: list[float], tolerance: float
) -> Quality:
    count = len(values)
    if metric in LESS_IS_BETTER:
        found = bootstrap_mean(np.array(values), seed=0)
    else:
        found = wilson(int(sum(values)), count)
    return Quality(
        metric, float(found.value), float(found.low), float(found.high), count,
        floor(manifest, metric, tolerance),
    )  # fmt: skip


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
    reliability: Mapping[str, Sequence[int]] | None,
    answers: Sequence[Mapping[str, Any]],
    tolerance: float,
) -> Quality | None:
    """Accuracy without labels: how often answers of each score were right on the test rows.

    It holds as long as scores mean what they meant there, which a shift can break; the interval
    tells the error of counting alone.
    """
    scores = np.array([score_of(answer) for answer in answers])
    scores = scores[~np.isnan(scores)]
    if reliability is None or not len(scores):
        return None
    rows, right = np.array(reliability["rows"]), np.array(reliability["right"])
    overall = right.sum() / max(1, rows.sum())
    share_right = (right + overall) / (rows + 1)  # thin bins lean on the whole
    weights = np.bincount(np.searchsorted(SCORE_EDGES, scores, side="right"), minlength=len(rows))
    weights = weights / len(scores)
    value = float(weights @ share_right)
    of_bins = weights**2 @ (share_right * (1 - share_right) / (rows + 1))
    of_window = (weights @ share_right**2 - value**2) / len(scores)
    error = Z95 * float(np.sqrt(max(0.0, of_bins + of_window)))
    low, high = max(0.0, value - error), min(1.0, value + error)
    return Quality(
        "accuracy", value, low, high, len(scores), floor(manifest, "accuracy", tolerance)
    )
