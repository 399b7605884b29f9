"""A number per row: labels and predictions are finite numbers (N,)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from modelwright.metrics.inputs import Floats, reals, same_rows


def rmse(labels_N: ArrayLike, predictions_N: ArrayLike) -> float:
    """Root of the mean squared error, in the labels' unit, at least 0."""
    labels, predictions = _pair(labels_N, predictions_N)
    return float(np.sqrt(np.square(labels - predictions).mean()))


def mae(labels_N: ArrayLike, predictions_N: ArrayLike) -> float:
    """Mean absolute error, in the labels' unit, at least 0."""
    labels, predictions = _pair(labels_N, predictions_N)
    return float(np.abs(labels - predictions).mean())


def median_absolute_error(labels_N: ArrayLike, predictions_N: ArrayLike) -> float:
    """Median absolute error, in the labels' unit, at least 0; unmoved by a few wild rows."""
    labels, predictions = _pair(labels_N, predictions_N)
    return float(np.median(np.abs(labels - predictions)))


def r2(labels_N: ArrayLike, predictions_N: ArrayLike) -> float:
    """Share of the labels' variance that is explained; 1 is perfect, below 0 worse than the mean.

    Where all labels are alike there is nothing to explain: 1 if all predictions are right,
    otherwise 0, as scikit-learn has it. Needs at least two rows.
    """
    labels, predictions = _pair(labels_N, predictions_N, least=2)
    left = np.square(labels - predictions).sum()
    if np.ptp(labels) == 0:
        return 1.0 if left == 0 else 0.0
    return float(1 - left / np.square(labels - labels.mean()).sum())


def pearson(labels_N: ArrayLike, predictions_N: ArrayLike) -> float:
    """Linear correlation in [-1, 1] (Pearson 1895).

    0 where it is undefined: all labels alike, or all predictions alike. Needs at least two
    rows.
    """
    labels, predictions = _pair(labels_N, predictions_N, least=2)
    return _correlation(labels, predictions)


def spearman(labels_N: ArrayLike, predictions_N: ArrayLike) -> float:
    """Correlation of ranks in [-1, 1] (Spearman 1904); ties share the average of their ranks.

    0 where it is undefined: all labels alike, or all predictions alike. Needs at least two
    rows.
    """
    labels, predictions = _pair(labels_N, predictions_N, least=2)
    return _correlation(_average_ranks(labels), _average_ranks(predictions))


def _correlation(a_N: Floats, b_N: Floats) -> float:
    # A constant's mean is often off by a rounding error, which would then be correlated.
    if np.ptp(a_N) == 0 or np.ptp(b_N) == 0:
        return 0.0
    return float(np.clip(_unit(a_N) @ _unit(b_N), -1, 1))


def _unit(values_N: Floats) -> Floats:
    """Centred and of length 1; scaled first, so that squares neither overflow nor vanish."""
    centred = values_N - values_N.mean()
    centred = centred / np.abs(centred).max()
    return centred / np.linalg.norm(centred)


def _average_ranks(values_N: Floats) -> Floats:
    _, group_N, size_U = np.unique(values_N, return_inverse=True, return_counts=True)
    last_rank_U = np.cumsum(size_U)
    return (last_rank_U - (size_U - 1) / 2)[group_N]


def _pair(labels_N: ArrayLike, predictions_N: ArrayLike, least: int = 1) -> tuple[Floats, Floats]:
    labels = reals("labels", labels_N)
    predictions = reals("predictions", predictions_N)
    same_rows(labels=labels, predictions=predictions)
    if len(labels) < least:
        raise ValueError(f"labels has {len(labels)} row: at least {least} are needed")
    return labels, predictions
