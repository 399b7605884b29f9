"""Tables of regression: residuals, predicted against actual, the worst rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from modelwright.evaluate import _rows
from modelwright.metrics.evidence import RegressionEvidence
from modelwright.tasks import Row

MOST_POINTS = 500
_BINS = 25


def residuals(evidence: RegressionEvidence) -> dict[str, Any]:
    """Histogram of predicted less actual, its mean (bias) and its spread."""
    left_N = evidence.predicted_N - evidence.gold_N
    counts, edges = np.histogram(left_N, bins=_BINS)
    return {
        "edges": [float(edge) for edge in edges],
        "counts": [int(count) for count in counts],
        "bias": float(left_N.mean()),
        "deviation": float(left_N.std()),
        "quantiles": {
            str(share): float(np.quantile(left_N, share)) for share in (0.05, 0.25, 0.5, 0.75, 0.95)
        },
    }


def points(evidence: RegressionEvidence, rows: Sequence[Row], seed: int) -> list[dict[str, Any]]:
    """Actual and predicted value of at most 500 rows, drawn at random where there are more."""
    index_M = np.arange(evidence.rows)
    if evidence.rows > MOST_POINTS:
        drawn = np.random.default_rng(seed).choice(evidence.rows, MOST_POINTS, replace=False)
        index_M = np.sort(drawn)
    return [
        {
            "actual": float(evidence.gold_N[i]),
            "predicted": float(evidence.predicted_N[i]),
            "text": _rows.cut(_rows.text_of(rows[int(i)]), 120),
        }
        for i in index_M
    ]


def worst_rows(
    evidence: RegressionEvidence, rows: Sequence[Row], most: int
) -> list[dict[str, Any]]:
    """The rows with the largest errors."""
    error_N = np.abs(evidence.predicted_N - evidence.gold_N)
    order = np.argsort(-error_N, kind="stable")[:most]
    return [
        {
            **_rows.shown(rows[i]),
            "gold": float(evidence.gold_N[i]),
            "predicted": float(evidence.predicted_N[i]),
            "error": float(error_N[i]),
        }
        for i in order
    ]
