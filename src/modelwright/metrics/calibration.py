"""Does 80% confident mean right 80% of the time?

Confidence is the probability a model gives its own answer; correct says whether it was right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from modelwright.metrics.inputs import (
    Floats,
    Integers,
    class_ids,
    flags,
    probabilities,
    reals,
    same_rows,
    shares,
)
from modelwright.metrics.scores import ratio

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.05, 20.0


@dataclass(frozen=True)
class ReliabilityCurve:
    """Rows sorted into B bins of equal width by confidence.

    Bin i holds what lies above edges[i] and at most at edges[i + 1]; 0 itself is in the first.
    A bin with count 0 has confidence and accuracy 0: draw only bins that have a count.
    """

    edges: Floats
    confidence_B: Floats
    accuracy_B: Floats
    count_B: Integers


def reliability_curve(
    confidence_N: ArrayLike, correct_N: ArrayLike, bins: int = 15
) -> ReliabilityCurve:
    """Mean confidence and accuracy in each bin (DeGroot and Fienberg 1983)."""
    confidence = shares("confidence", confidence_N)
    correct = flags("correct", correct_N)
    same_rows(confidence=confidence, correct=correct)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    edges = np.linspace(0, 1, bins + 1)
    bin_N = np.digitize(confidence, edges[1:-1], right=True)
    count = np.bincount(bin_N, minlength=bins)
    return ReliabilityCurve(
        edges=edges,
        confidence_B=ratio(np.bincount(bin_N, weights=confidence, minlength=bins), count),
        accuracy_B=ratio(np.bincount(bin_N, weights=correct, minlength=bins), count),
        count_B=count.astype(np.int64),
    )


def expected_calibration_error(
    confidence_N: ArrayLike, correct_N: ArrayLike, bins: int = 15
) -> float:
    """Mean distance of confidence from accuracy over the bins, weighed by their rows, in [0, 1].

    Equal-width bins, as in Guo et al. 2017, "On Calibration of Modern Neural Networks".
    """
    curve = reliability_curve(confidence_N, correct_N, bins)
    gap = np.abs(curve.confidence_B - curve.accuracy_B)
    return float((gap * curve.count_B).sum() / curve.count_B.sum())


def brier_score(labels_N: ArrayLike, probabilities_NC: ArrayLike) -> float:
    """Mean squared distance of the probabilities from the one-hot label, in [0, 2].

    The sum over all classes, as in Brier 1950; for two classes that is twice the figure that
    counts the positive class only. Lower is better.
    """
    rows = probabilities("probabilities", probabilities_NC)
    labels = class_ids("labels", labels_N, rows.shape[1])
    same_rows(labels=labels, probabilities=rows)
    of_label = rows[np.arange(len(labels)), labels]
    # |p - e|^2 = |p|^2 - 2 p_label + 1, without an (N, C) one-hot matrix.
    return max(0.0, float((np.square(rows).sum(axis=1) - 2 * of_label + 1).mean()))


def best_temperature(logits_NC: ArrayLike, labels_N: ArrayLike) -> float:
    """The temperature T whose softmax(logits / T) gives the labels the least log loss.

    Guo et al. 2017. The loss is convex in 1 / T, so that the sign of its slope is bisected
    between the bounds 0.05 and 20; a bound is returned where the loss falls all the way to it
    (every row right: 0.05) and 1 where no temperature makes a difference.
    """
    logits = reals("logits", logits_NC, axes=2)
    labels = class_ids("labels", labels_N, logits.shape[1])
    same_rows(labels=labels, logits=logits)
    logits = logits - logits.max(axis=1, keepdims=True)
    if not logits.any():
        return 1.0
    of_label = float(logits[np.arange(len(labels)), labels].mean())
    low, high = np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE)
    for _ in range(40):  # 6 nats halved 40 times: T to about 11 digits
        middle = (low + high) / 2
        # Slope of the loss in 1 / T: expected logit less the label's. Above 0: overconfident.
        if _expected_logit(logits, np.exp(middle)) > of_label:
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))


def _expected_logit(logits_NC: Floats, temperature: float) -> float:
    """Logit expected under softmax(logits / T), mean over rows."""
    weights = np.exp(logits_NC / temperature)
    return float(((weights * logits_NC).sum(axis=1) / weights.sum(axis=1)).mean())
