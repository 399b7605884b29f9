"""Precision, recall and F1 from counts of hits, false alarms and misses (van Rijsbergen 1979).

Every measure of this family, for rows, labels, tokens or entities, is a sum of counts followed
by a ratio. `class_scores` turns counts into one score per class, `average` sums those up. The
functions that end in `_of_counts` do the same for many sums at once, as the bootstrap in
intervals.py needs it; their counts are laid out as 3C columns: C of hits, C of false alarms,
C of misses.

Two conventions hold throughout. A ratio with nothing beneath it is 0. A class that is neither
labelled nor predicted anywhere does not count in the macro average.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from modelwright.metrics.inputs import Floats, Integers, reals, same_shape

CountsStatistic: TypeAlias = Callable[[Floats], Floats]
"""Sums of counts (R, 3C) to one value a sum (R,)."""


@dataclass(frozen=True)
class ClassScores:
    """One entry per class: scores in [0, 1], and how often it was labelled, predicted, both."""

    precision_C: Floats
    recall_C: Floats
    f1_C: Floats
    support_C: Integers
    predicted_C: Integers
    correct_C: Integers


@dataclass(frozen=True)
class Score:
    """Precision, recall and F1 in [0, 1], and the number of labelled things behind them."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Averages:
    """Micro: every prediction weighs the same. Macro: every class. Weighted: by support."""

    micro: Score
    macro: Score
    weighted: Score


def class_scores(hits_C: ArrayLike, false_alarms_C: ArrayLike, misses_C: ArrayLike) -> ClassScores:
    """Scores per class from three counts of shape (C,); C may be 0."""
    hits, alarms, misses = (
        np.asarray(counts, dtype=np.int64) for counts in (hits_C, false_alarms_C, misses_C)
    )
    same_shape(hits=hits, false_alarms=alarms, misses=misses)
    return ClassScores(
        precision_C=ratio(hits, hits + alarms),
        recall_C=ratio(hits, hits + misses),
        f1_C=ratio(2 * hits, 2 * hits + alarms + misses),
        support_C=hits + misses,
        predicted_C=hits + alarms,
        correct_C=hits,
    )


def average(scores: ClassScores) -> Averages:
    """Micro, macro and weighted averages; all 0 where nothing was labelled or predicted."""
    present = (scores.support_C + scores.predicted_C) > 0
    return Averages(
        micro=_micro(scores),
        macro=_weighted(scores, present.astype(np.float64)),
        weighted=_weighted(scores, scores.support_C.astype(np.float64)),
    )


def micro_f1_of_counts(counts_RK: ArrayLike) -> Floats:
    """Micro F1 (R,) of summed counts (R, 3C)."""
    hits, alarms, misses = (part.sum(axis=1) for part in _thirds(counts_RK))
    return ratio(2 * hits, 2 * hits + alarms + misses)


def micro_precision_of_counts(counts_RK: ArrayLike) -> Floats:
    """Micro precision (R,) of summed counts (R, 3C)."""
    hits, alarms, _ = (part.sum(axis=1) for part in _thirds(counts_RK))
    return ratio(hits, hits + alarms)


def micro_recall_of_counts(counts_RK: ArrayLike) -> Floats:
    """Micro recall (R,) of summed counts (R, 3C)."""
    hits, _, misses = (part.sum(axis=1) for part in _thirds(counts_RK))
    return ratio(hits, hits + misses)


def macro_f1_of_counts(counts_RK: ArrayLike) -> Floats:
    """Macro F1 (R,) of summed counts (R, 3C), over the classes present in each sum."""
    hits, alarms, misses = _thirds(counts_RK)
    touched = 2 * hits + alarms + misses
    return ratio(ratio(2 * hits, touched).sum(axis=1), (touched > 0).sum(axis=1))


def weighted_f1_of_counts(counts_RK: ArrayLike) -> Floats:
    """Support-weighted F1 (R,) of summed counts (R, 3C)."""
    hits, alarms, misses = _thirds(counts_RK)
    support = hits + misses
    f1 = ratio(2 * hits, 2 * hits + alarms + misses)
    return ratio((f1 * support).sum(axis=1), support.sum(axis=1))


def ratio(above: ArrayLike, below: ArrayLike) -> Floats:
    """above / below, elementwise; 0 where below is 0."""
    top = np.asarray(above, dtype=np.float64)
    bottom = np.asarray(below, dtype=np.float64)
    return np.divide(top, bottom, out=np.zeros_like(bottom), where=bottom != 0)


def _micro(scores: ClassScores) -> Score:
    correct, predicted, support = (
        int(counts.sum()) for counts in (scores.correct_C, scores.predicted_C, scores.support_C)
    )
    return Score(
        precision=float(ratio(correct, predicted)),
        recall=float(ratio(correct, support)),
        f1=float(ratio(2 * correct, predicted + support)),
        support=support,
    )


def _weighted(scores: ClassScores, weight_C: Floats) -> Score:
    def mean(values_C: Floats) -> float:
        return float(ratio(values_C @ weight_C, weight_C.sum()))

    return Score(
        precision=mean(scores.precision_C),
        recall=mean(scores.recall_C),
        f1=mean(scores.f1_C),
        support=int(scores.support_C.sum()),
    )


def _thirds(counts_RK: ArrayLike) -> tuple[Floats, Floats, Floats]:
    counts = reals("counts", counts_RK, axes=2)
    classes, over = divmod(counts.shape[1], 3)
    if over:
        raise ValueError(f"counts must have three columns per class, got {counts.shape[1]}")
    return counts[:, :classes], counts[:, classes : 2 * classes], counts[:, 2 * classes :]
