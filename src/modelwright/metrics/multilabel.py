"""Any number of labels per row.

Labels and predictions are matrices (N, C) of booleans or of 0 and 1. Conventions are those of
scores.py: a ratio with nothing beneath it is 0, and classes absent from labels and predictions
alike do not count in the macro average.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modelwright.metrics.inputs import Booleans, flags, same_shape
from modelwright.metrics.scores import Averages, ClassScores, average, class_scores


def per_class(labels_NC: ArrayLike, predictions_NC: ArrayLike) -> ClassScores:
    """Precision, recall, F1 and support of each class."""
    labels, predictions = _pair(labels_NC, predictions_NC)
    hits = (labels & predictions).sum(axis=0)
    return class_scores(hits, predictions.sum(axis=0) - hits, labels.sum(axis=0) - hits)


def averages(labels_NC: ArrayLike, predictions_NC: ArrayLike) -> Averages:
    """Micro, macro and weighted precision, recall and F1."""
    return average(per_class(labels_NC, predictions_NC))


def micro_f1(labels_NC: ArrayLike, predictions_NC: ArrayLike) -> float:
    """F1 over all row and class pairs together, in [0, 1]."""
    return averages(labels_NC, predictions_NC).micro.f1


def macro_f1(labels_NC: ArrayLike, predictions_NC: ArrayLike) -> float:
    """Mean F1 of the classes that are labelled or predicted at least once, in [0, 1]."""
    return averages(labels_NC, predictions_NC).macro.f1


def weighted_f1(labels_NC: ArrayLike, predictions_NC: ArrayLike) -> float:
    """Mean F1 of the classes, each weighed by its labelled rows, in [0, 1]."""
    return averages(labels_NC, predictions_NC).weighted.f1


def samples_f1(labels_NC: ArrayLike, predictions_NC: ArrayLike) -> float:
    """Mean F1 of the rows, in [0, 1].

    A row that has no label and gets none is answered rightly and scores 1; that is
    scikit-learn's `zero_division=1`, not its default.
    """
    labels, predictions = _pair(labels_NC, predictions_NC)
    hits = (labels & predictions).sum(axis=1)
    touched = labels.sum(axis=1) + predictions.sum(axis=1)
    f1 = np.divide(2.0 * hits, touched, out=np.ones(len(labels)), where=touched > 0)
    return float(f1.mean())


def subset_accuracy(labels_NC: ArrayLike, predictions_NC: ArrayLike) -> float:
    """Share of rows whose labels are all right, in [0, 1]."""
    labels, predictions = _pair(labels_NC, predictions_NC)
    return float((labels == predictions).all(axis=1).mean())


def hamming_loss(labels_NC: ArrayLike, predictions_NC: ArrayLike) -> float:
    """Share of row and class pairs that are wrong, in [0, 1]; lower is better."""
    labels, predictions = _pair(labels_NC, predictions_NC)
    return float((labels != predictions).mean())


def row_counts(labels_NC: ArrayLike, predictions_NC: ArrayLike) -> NDArray[np.int8]:
    """Hits, false alarms and misses of each row, (N, 3C), as scores.py lays them out.

    For `intervals.bootstrap_from_counts`.
    """
    labels, predictions = _pair(labels_NC, predictions_NC)
    parts = (labels & predictions, ~labels & predictions, labels & ~predictions)
    return np.concatenate(parts, axis=1).astype(np.int8)


def _pair(labels_NC: ArrayLike, predictions_NC: ArrayLike) -> tuple[Booleans, Booleans]:
    labels = flags("labels", labels_NC, axes=2)
    predictions = flags("predictions", predictions_NC, axes=2)
    same_shape(labels=labels, predictions=predictions)
    return labels, predictions
