"""Training rows whose label looks wrong, by confident learning on held-out probabilities.

The probabilities of a row come from a ridge classifier on the base's vectors that never saw the
row: leave-one-out has a closed form for ridge regression, so one solve serves all rows (Allen
1974, PRESS). The softmax temperature is fitted on the same held-out scores. Labels are then judged
as in Northcutt et al. 2021.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modelwright.artifacts.dataset import Dataset
from modelwright.metrics.calibration import best_temperature
from modelwright.metrics.confident import suspicious_labels

MOST_ROWS = 50_000
MOST_SHOWN = 200
RIDGE = 1.0


def find_suspicious(
    vectors_ND: np.ndarray, labels_N: np.ndarray, classes: int
) -> list[dict[str, Any]]:
    """Rows that confident learning would relabel, the surest first.

    Args:
        vectors_ND: one vector a row, from a network that did not learn these labels.
        labels_N: class index of each row.
        classes: number of classes.

    Returns:
        For each: `row` (index), `suggested` (class index), `score` in [0, 1], low is suspicious.
    """
    probabilities_NC = held_out_probabilities(vectors_ND, labels_N, classes)
    issues = suspicious_labels(labels_N, probabilities_NC)
    return [
        {"row": int(row), "suggested": int(other), "score": float(score)}
        for row, other, score in zip(
            issues.indices_S, issues.suggested_S, issues.self_confidence_S, strict=True
        )
    ][:MOST_SHOWN]


def held_out_probabilities(
    vectors_ND: np.ndarray, labels_N: np.ndarray, classes: int
) -> np.ndarray:
    """[N, C] leave-one-out probabilities of a ridge classifier."""
    x = vectors_ND.astype(np.float64)
    x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    targets = np.eye(classes)[labels_N]
    penalty = RIDGE * np.eye(x.shape[1])
    penalty[-1, -1] = 1e-6
    inverse = np.linalg.inv(x.T @ x + penalty)
    fitted = x @ (inverse @ (x.T @ targets))
    leverage = np.einsum("nd,de,ne->n", x, inverse, x, optimize=True)
    held_out = targets - (targets - fitted) / np.maximum(1.0 - leverage, 1e-6)[:, None]
    logits = 10.0 * held_out
    logits = logits / best_temperature(logits, labels_N)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def describe(
    found: list[dict[str, Any]], dataset: Dataset, labels: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Add the text, the place and the label names, for the report."""
    table = dataset.table("train")
    rows = table.take([entry["row"] for entry in found]).to_pylist() if found else []
    return [
        {
            "text": str(row.get("text", ""))[:300],
            "label": row["label"],
            "suggested": labels[entry["suggested"]],
            "score": round(entry["score"], 4),
            "file": row.get("_file"),
            "line": row.get("_line"),
            "row": row.get("_row"),
        }
        for entry, row in zip(found, rows, strict=True)
    ]
