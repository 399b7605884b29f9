"""Which rows to look at: answered wrongly with confidence, and probably labelled wrongly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from modelwright.evaluate import _numbers, _rows, _spans
from modelwright.metrics.confident import suspicious_labels
from modelwright.metrics.evidence import (
    ClassEvidence,
    Evidence,
    MultiLabelEvidence,
    RegressionEvidence,
    SpanEvidence,
)
from modelwright.metrics.inputs import Floats, Integers
from modelwright.tasks import Row


def worst(evidence: Evidence, rows: Sequence[Row], most: int) -> list[dict[str, Any]]:
    """At most `most` wrong rows, the most confidently wrong first."""
    if isinstance(evidence, ClassEvidence):
        return _worst_classes(evidence, rows, most)
    if isinstance(evidence, MultiLabelEvidence):
        return _worst_label_sets(evidence, rows, most)
    if isinstance(evidence, SpanEvidence):
        return _spans.worst_texts(evidence, rows, most)
    if isinstance(evidence, RegressionEvidence):
        return _numbers.worst_rows(evidence, rows, most)
    return []


def _worst_classes(evidence: ClassEvidence, rows: Sequence[Row], most: int) -> list[dict[str, Any]]:
    wrong = np.flatnonzero(~evidence.correct())
    order = wrong[np.argsort(-evidence.confidence_N[wrong], kind="stable")][:most]
    return [
        {
            **_rows.shown(rows[i]),
            "gold": evidence.labels[evidence.gold_N[i]],
            "predicted": evidence.labels[evidence.predicted_N[i]],
            "score": float(evidence.confidence_N[i]),
            "gold_score": float(evidence.probabilities_NC[i, evidence.gold_N[i]]),
        }
        for i in order
    ]


def _worst_label_sets(
    evidence: MultiLabelEvidence, rows: Sequence[Row], most: int
) -> list[dict[str, Any]]:
    """Ranked by the largest distance of a label's probability from the truth."""
    distance_N = np.abs(evidence.gold_NC - evidence.probabilities_NC).max(axis=1)
    wrong = np.flatnonzero(~evidence.correct())
    order = wrong[np.argsort(-distance_N[wrong], kind="stable")][:most]

    def names(flags_C: Any) -> list[str]:
        return [evidence.labels[j] for j in np.flatnonzero(flags_C)]

    return [
        {
            **_rows.shown(rows[i]),
            "gold": names(evidence.gold_NC[i]),
            "predicted": names(evidence.predicted_NC[i]),
            "score": float(distance_N[i]),
        }
        for i in order
    ]


def likely_mislabelled(
    rows: Sequence[Row],
    gold: Integers,
    probabilities: Floats,
    labels: Sequence[str],
    most: int = 100,
) -> dict[str, Any]:
    """Rows whose label is probably wrong, by confident learning, the likeliest first.

    Args:
        rows: canonical rows.
        gold: (N,) class index of each row.
        probabilities: (N, C) from a model that did not train on the row itself.
        labels: class names in index order.
        most: rows listed; all are counted.

    Returns:
        `count`, and `rows` with `label`, `suggested`, `score` (0 to 1, the lower the more
        suspicious), text, file and line.
    """
    issues = suspicious_labels(gold, probabilities)
    found = [
        {
            **_rows.shown(rows[int(i)]),
            "label": labels[int(gold[i])],
            "suggested": labels[int(suggested)],
            "score": float(score),
            "gold_score": float(probabilities[i, gold[i]]),
            "suggested_score": float(probabilities[i, suggested]),
        }
        for i, suggested, score in zip(
            issues.indices_S[:most], issues.suggested_S[:most], issues.score_S[:most], strict=True
        )
    ]
    return {"count": len(issues.indices_S), "rows": found}
