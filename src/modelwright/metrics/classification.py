"""One label per row, one prediction per row.

Labels and predictions are class ids (N,), from 0 to classes - 1. All of it follows from the
confusion matrix, save what needs probabilities. Conventions are those of scores.py: a ratio
with nothing beneath it is 0, and classes absent from labels and predictions alike do not count
in a macro average.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modelwright.metrics.inputs import Integers, class_ids, probabilities, reals, same_rows
from modelwright.metrics.scores import Averages, ClassScores, average, class_scores, ratio


def accuracy(labels_N: ArrayLike, predictions_N: ArrayLike) -> float:
    """Share of rows whose prediction is the label, in [0, 1]."""
    labels = class_ids("labels", labels_N)
    predictions = class_ids("predictions", predictions_N)
    same_rows(labels=labels, predictions=predictions)
    return float((labels == predictions).mean())


def confusion_matrix(labels_N: ArrayLike, predictions_N: ArrayLike, classes: int) -> Integers:
    """Row counts (C, C): entry [i, j] is labelled i and predicted j."""
    labels, predictions = _pair(labels_N, predictions_N, classes)
    cells = np.bincount(labels * classes + predictions, minlength=classes * classes)
    return cells.astype(np.int64).reshape(classes, classes)


def per_class(labels_N: ArrayLike, predictions_N: ArrayLike, classes: int) -> ClassScores:
    """Precision, recall, F1 and support of each class."""
    matrix = confusion_matrix(labels_N, predictions_N, classes)
    hits = matrix.diagonal()
    return class_scores(hits, matrix.sum(axis=0) - hits, matrix.sum(axis=1) - hits)


def averages(labels_N: ArrayLike, predictions_N: ArrayLike, classes: int) -> Averages:
    """Micro (which here is accuracy), macro and weighted precision, recall and F1."""
    return average(per_class(labels_N, predictions_N, classes))


def macro_f1(labels_N: ArrayLike, predictions_N: ArrayLike, classes: int) -> float:
    """Mean F1 of the classes that are labelled or predicted at least once, in [0, 1]."""
    return averages(labels_N, predictions_N, classes).macro.f1


def balanced_accuracy(labels_N: ArrayLike, predictions_N: ArrayLike, classes: int) -> float:
    """Mean recall of the classes that have labelled rows, in [0, 1] (Brodersen et al. 2010)."""
    scores = per_class(labels_N, predictions_N, classes)
    return float(scores.recall_C[scores.support_C > 0].mean())


def matthews_corrcoef(labels_N: ArrayLike, predictions_N: ArrayLike, classes: int) -> float:
    """Matthews correlation in [-1, 1], for any number of classes (Gorodkin 2004).

    0 where it is undefined: all labels alike, or all predictions alike.
    """
    matrix = confusion_matrix(labels_N, predictions_N, classes).astype(np.float64)
    rows = matrix.sum()
    labelled, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    together = matrix.trace() * rows - labelled @ predicted
    apart = np.sqrt(rows**2 - labelled @ labelled) * np.sqrt(rows**2 - predicted @ predicted)
    return float(ratio(together, apart))


def log_loss(labels_N: ArrayLike, probabilities_NC: ArrayLike) -> float:
    """Mean negative log probability of the label, in nats, at least 0.

    Probabilities are kept at least 2.2e-16 from 0, so that one impossible label does not make
    the mean infinite.
    """
    rows = probabilities("probabilities", probabilities_NC)
    labels = class_ids("labels", labels_N, rows.shape[1])
    same_rows(labels=labels, probabilities=rows)
    of_label = rows[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(of_label, np.finfo(np.float64).eps, 1)).mean())


def top_k_accuracy(labels_N: ArrayLike, scores_NC: ArrayLike, k: int) -> float:
    """Share of rows whose label is among the k classes that score highest, in [0, 1].

    Scores may be logits or probabilities. Ties go to the lower class id, as in argmax, so that
    k = 1 is plain accuracy.
    """
    scores = reals("scores", scores_NC, axes=2)
    classes = int(scores.shape[1])
    labels = class_ids("labels", labels_N, classes)
    same_rows(labels=labels, scores=scores)
    if not 1 <= k <= classes:
        raise ValueError(f"k must be from 1 to the number of classes, {classes}, got {k}")
    of_label = scores[np.arange(len(labels)), labels][:, None]
    lower_id = np.less(np.arange(classes), labels[:, None])
    before = np.greater(scores, of_label) | (np.equal(scores, of_label) & lower_id)
    return float((before.sum(axis=1) < k).mean())


def row_counts(labels_N: ArrayLike, predictions_N: ArrayLike, classes: int) -> NDArray[np.int8]:
    """Hits, false alarms and misses of each row, (N, 3C), as scores.py lays them out.

    Small integers, since N times 3C can be large. For `intervals.bootstrap_from_counts`.
    """
    labels, predictions = _pair(labels_N, predictions_N, classes)
    counts = np.zeros((len(labels), 3 * classes), dtype=np.int8)
    hit = labels == predictions
    rows = np.arange(len(labels))
    counts[rows[hit], labels[hit]] = 1
    counts[rows[~hit], classes + predictions[~hit]] = 1
    counts[rows[~hit], 2 * classes + labels[~hit]] = 1
    return counts


def _pair(labels_N: ArrayLike, predictions_N: ArrayLike, classes: int) -> tuple[Integers, Integers]:
    labels = class_ids("labels", labels_N, classes)
    predictions = class_ids("predictions", predictions_N, classes)
    same_rows(labels=labels, predictions=predictions)
    return labels, predictions
