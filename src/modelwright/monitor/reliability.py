"""How often answers of each score were right: what tells the accuracy where nobody tells the truth.

    {"rows": [B], "right": [B], "error": E}     between SCORE_EDGES

It holds as long as scores mean what they meant on the test rows, which a shift can break. How much is
measured there: tenths of the rows, from the most to the least usual ones, are each estimated from the
other nine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SCORE_EDGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99)
SLICES, LEAST_OF_SLICE = 10, 10


def reliability(
    scores: np.ndarray, right: np.ndarray | None, unusual: np.ndarray
) -> dict[str, Any] | None:
    """What is kept of rows whose truth is known.

    Args:
        scores: [N] of the answers.
        right: [N] whether each is right; None where that cannot be said.
        unusual: [N] how far a row is from training; NaN where unknown.

    Returns:
        None where answers have no score or are neither right nor wrong.
    """
    if right is None or not len(scores) or np.isnan(scores).any():
        return None
    found: dict[str, Any] = _counted(scores, right)
    error = _error_between_slices(scores, right, unusual)
    return found if error is None else found | {"error": round(error, 5)}


def estimate(told: Mapping[str, Any], scores: np.ndarray) -> tuple[float, float]:
    """Accuracy of answers with these scores [N], N > 0, and its standard error.

    The error is that of counting, here and on the test rows, and what a slice was off there beyond it.
    """
    rows, right = np.array(told["rows"]), np.array(told["right"])
    overall = right.sum() / max(1, rows.sum())
    share_right = (right + overall) / (rows + 1)  # thin bins lean on the whole
    weights = np.bincount(_places(scores), minlength=len(rows)) / len(scores)
    value = float(weights @ share_right)
    of_bins = weights**2 @ (share_right * (1 - share_right) / (rows + 1))
    of_window = (value - weights @ share_right**2) / len(scores)
    return value, float(np.sqrt(of_bins + max(0.0, of_window) + float(told.get("error", 0.0)) ** 2))


def _places(scores: np.ndarray) -> np.ndarray:
    return np.searchsorted(SCORE_EDGES, scores, side="right")


def _counted(scores: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    bins, places = len(SCORE_EDGES) + 1, _places(scores)
    return {
        "rows": np.bincount(places, minlength=bins).tolist(),
        "right": np.bincount(places, weights=right, minlength=bins).astype(int).tolist(),
    }


def _error_between_slices(
    scores: np.ndarray, right: np.ndarray, unusual: np.ndarray
) -> float | None:
    """Root mean square of estimate less truth, beyond what counting explains; None with few rows."""
    if len(scores) < SLICES * LEAST_OF_SLICE or np.isnan(unusual).any():
        return None
    order, squares = np.argsort(unusual, kind="stable"), list[float]()
    for mine in np.array_split(order, SLICES):
        others = np.setdiff1d(order, mine)
        value, error = estimate(_counted(scores[others], right[others]), scores[mine])
        squares.append((value - float(right[mine].mean())) ** 2 - error**2)
    return float(np.sqrt(max(0.0, float(np.mean(squares)))))


def known_scores(scores: Sequence[float]) -> np.ndarray:
    """Those that are numbers."""
    found = np.array(scores, dtype=float)
    return found[~np.isnan(found)]
