"""The main metric from per-row outcomes, so that intervals and paired tests take milliseconds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from modelwright.metrics import intervals, multilabel, scores, spans
from modelwright.metrics.evidence import (
    ClassEvidence,
    Evidence,
    MultiLabelEvidence,
    SpanEvidence,
)
from modelwright.metrics.inputs import Integers
from modelwright.metrics.intervals import Difference, Interval

_RESAMPLES = 300
_NEED_CONFIDENCE = ("log_loss", "ece")


def outcomes(evidence: Evidence) -> Integers | None:
    """Hits, false alarms and misses of each row, (N, 3); their micro F1 is the main metric.

    For one label a row micro F1 is accuracy. None where the main metric is no such ratio.
    """
    if isinstance(evidence, ClassEvidence):
        right_N = evidence.correct().astype(np.int64)
        return np.stack([right_N, 1 - right_N, 1 - right_N], axis=1)
    if isinstance(evidence, MultiLabelEvidence):
        counts = multilabel.row_counts(evidence.gold_NC, evidence.predicted_NC)
        return _summed(counts, len(evidence.labels))
    if isinstance(evidence, SpanEvidence):
        gold, ours = evidence.gold_spans(), evidence.predicted_spans()
        types = spans.span_types(gold, ours) or ["none"]
        return _summed(spans.span_counts(gold, ours, types), len(types))
    return None


def _summed(counts_NK: Any, classes: int) -> Integers:
    return counts_NK.reshape(len(counts_NK), 3, classes).sum(axis=2, dtype=np.int64)


def main_interval(evidence: Evidence, seed: int) -> Interval:
    """The main metric with its 95% interval: Wilson for a share, else bootstrap."""
    if isinstance(evidence, ClassEvidence):
        return intervals.wilson(int(evidence.correct().sum()), evidence.rows)
    counts = outcomes(evidence)
    if counts is not None:
        return intervals.bootstrap_from_counts(counts, scores.micro_f1_of_counts, seed=seed)
    return intervals.bootstrap(
        lambda index: evidence.select(index).scores()[evidence.main],
        evidence.rows,
        resamples=_RESAMPLES,
        seed=seed,
    )


def difference(ours: Evidence, theirs: Evidence, seed: int) -> Difference:
    """Main metric of `ours` less that of `theirs` on the same rows, by paired bootstrap."""
    first, second = outcomes(theirs), outcomes(ours)
    if first is not None and second is not None:
        return intervals.paired_bootstrap_from_counts(
            first, second, scores.micro_f1_of_counts, seed=seed
        )

    def apart(index: Any) -> float:
        return ours.select(index).scores()[ours.main] - theirs.select(index).scores()[theirs.main]

    return intervals.paired_bootstrap(apart, ours.rows, resamples=_RESAMPLES, seed=seed)


def compared(name: str, ours: Evidence, theirs: Evidence, seed: int) -> dict[str, Any]:
    """A baseline's metrics, its main metric's interval, and how far ahead the model is."""
    gap = asdict(difference(ours, theirs, seed))
    if isinstance(ours, ClassEvidence):
        gap["mcnemar_p"] = intervals.mcnemar(theirs.correct(), ours.correct())
    return {
        "name": name,
        "metric": ours.main,
        **asdict(main_interval(theirs, seed)),
        "metrics": {
            name: value for name, value in theirs.scores().items() if name not in _NEED_CONFIDENCE
        },
        "difference": gap,
    }
