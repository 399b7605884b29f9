"""Which labels of a dataset look wrong? Confident learning (Northcutt, Jiang, Chuang 2021,
"Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70).

    threshold of a class  = mean probability of that class over the rows labelled with it
    confident class       = the most probable class among those at or above their threshold
    suspicious row        = neither its confident nor its most probable class is its label

These are the off-diagonal rows of the paper's confident joint, as cleanlab finds them with
`filter_by="confident_learning"`. Most are truly wrong, but not all wrong labels are among them:
of 90 flips planted in scikit-learn's digits it finds 7 in 10, and 9 in 10 that it names are
flips (tests/metrics/test_confident.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from modelwright.metrics.inputs import Floats, Integers, class_ids, probabilities, same_rows

# A mean of equal probabilities can round to just above them.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class LabelIssues:
    """Suspicious rows, worst first, and the threshold of every class.

    score_S is the normalised margin in [0, 1]: half of 1 + (probability of the label - highest
    probability of another class). The lower, the more suspicious. threshold_C is infinite for
    a class without rows, which is therefore never suggested.
    """

    indices_S: Integers
    suggested_S: Integers
    score_S: Floats
    self_confidence_S: Floats
    threshold_C: Floats


def suspicious_labels(labels_N: ArrayLike, probabilities_NC: ArrayLike) -> LabelIssues:
    """Find the rows whose label is probably wrong, and what it probably should be.

    Probabilities (N, C) must come from models that did not train on the row itself, as from
    cross-validation; otherwise the model repeats the wrong label. C is at least 2. Ties in
    score are ordered by self-confidence, then by row.
    """
    rows = probabilities("probabilities", probabilities_NC)
    classes = rows.shape[1]
    if classes < 2:
        raise ValueError("probabilities has 1 class: at least 2 are needed to doubt a label")
    labels = class_ids("labels", labels_N, classes)
    same_rows(labels=labels, probabilities=rows)

    self_confidence_N = rows[np.arange(len(labels)), labels]
    threshold_C = _thresholds(labels, self_confidence_N, classes)
    confident_N = _confident_class(rows, threshold_C)
    doubted_N = (confident_N != labels) & (rows.argmax(axis=1) != labels)
    suspects_S = np.flatnonzero(doubted_N & (confident_N >= 0))
    score_S = _normalised_margin(rows[suspects_S], labels[suspects_S])
    worst_first = np.lexsort((self_confidence_N[suspects_S], score_S))
    indices_S = suspects_S[worst_first]
    return LabelIssues(
        indices_S=indices_S,
        suggested_S=confident_N[indices_S],
        score_S=score_S[worst_first],
        self_confidence_S=self_confidence_N[indices_S],
        threshold_C=threshold_C,
    )


def _thresholds(labels_N: Integers, self_confidence_N: Floats, classes: int) -> Floats:
    rows_C = np.bincount(labels_N, minlength=classes)
    total_C = np.bincount(labels_N, weights=self_confidence_N, minlength=classes)
    return np.divide(total_C, rows_C, out=np.full(classes, np.inf), where=rows_C > 0)


def _confident_class(probabilities_NC: Floats, threshold_C: Floats) -> Integers:
    """The most probable class that reaches its threshold, or -1 where none does."""
    reached_NC = probabilities_NC >= threshold_C - _ROUNDING
    best_N = np.where(reached_NC, probabilities_NC, -1).argmax(axis=1)
    return np.where(reached_NC.any(axis=1), best_N, -1).astype(np.int64)


def _normalised_margin(probabilities_SC: Floats, labels_S: Integers) -> Floats:
    rows = np.arange(len(labels_S))
    own_S = probabilities_SC[rows, labels_S]
    others_SC = probabilities_SC.copy()
    others_SC[rows, labels_S] = -1
    return (own_S - others_SC.max(axis=1, initial=-1) + 1) / 2
