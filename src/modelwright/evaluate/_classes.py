"""Tables of classification: each class, who is confused with whom, and calibration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from modelwright.evaluate import _rows
from modelwright.metrics import calibration, classification, multilabel, scores
from modelwright.metrics.evidence import ClassEvidence, Evidence, MultiLabelEvidence, SpanEvidence
from modelwright.metrics.inputs import Booleans, Floats
from modelwright.metrics.scores import Averages, ClassScores
from modelwright.tasks import Row

LARGEST_MATRIX = 100
MOST_PAIRS = 40
_EXAMPLES = 3
_BINS = 15


def class_table(
    evidence: ClassEvidence | MultiLabelEvidence, train_rows: Counter[str]
) -> dict[str, Any]:
    """`classes` (each with its scores and training rows) and `averages`."""
    if isinstance(evidence, ClassEvidence):
        found = classification.per_class(
            evidence.gold_N, evidence.predicted_N, len(evidence.labels)
        )
    else:
        found = multilabel.per_class(evidence.gold_NC, evidence.predicted_NC)
    return {
        "classes": [
            {**row, "train_rows": train_rows.get(row["name"], 0)}
            for row in score_rows(evidence.labels, found)
        ],
        "averages": average_rows(scores.average(found)),
    }


def score_rows(names: Sequence[str], found: ClassScores) -> list[dict[str, Any]]:
    """One dictionary a class: name, precision, recall, f1, support, predicted."""
    return [
        {
            "name": name,
            "precision": float(found.precision_C[index]),
            "recall": float(found.recall_C[index]),
            "f1": float(found.f1_C[index]),
            "support": int(found.support_C[index]),
            "predicted": int(found.predicted_C[index]),
        }
        for index, name in enumerate(names)
    ]


def average_rows(found: Averages) -> dict[str, Any]:
    """micro, macro and weighted as dictionaries."""
    return {name: asdict(score) for name, score in vars(found).items()}


def confusion(evidence: ClassEvidence, rows: Sequence[Row]) -> dict[str, Any]:
    """`labels` and `matrix` (gold by predicted, up to 100 classes) and the confused `pairs`."""
    matrix = classification.confusion_matrix(
        evidence.gold_N, evidence.predicted_N, len(evidence.labels)
    )
    small = len(evidence.labels) <= LARGEST_MATRIX
    return {
        "labels": list(evidence.labels) if small else None,
        "matrix": matrix.tolist() if small else None,
        "pairs": _confused_pairs(evidence, rows, matrix),
    }


def _confused_pairs(
    evidence: ClassEvidence, rows: Sequence[Row], matrix: Any
) -> list[dict[str, Any]]:
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_PAIRS]
    support_C, found = matrix.sum(axis=1), []
    for flat in order:
        gold, predicted = divmod(int(flat), len(evidence.labels))
        count = int(wrong[gold, predicted])
        if not count:
            break
        mine = np.flatnonzero((evidence.gold_N == gold) & (evidence.predicted_N == predicted))
        surest = mine[np.argsort(-evidence.confidence_N[mine], kind="stable")][:_EXAMPLES]
        found.append(
            {
                "gold": evidence.labels[gold],
                "predicted": evidence.labels[predicted],
                "count": count,
                "share": count / int(support_C[gold]),
                "back": int(wrong[predicted, gold]),
                "examples": [
                    {**_rows.shown(rows[i]), "score": float(evidence.confidence_N[i])}
                    for i in surest
                ],
            }
        )
    return found


def calibrated(evidence: Evidence, logits: Sequence[Any]) -> dict[str, Any] | None:
    """ECE, the reliability curve and, for one label a row, the best temperature."""
    confidence_N, correct_N, unit = _confidences(evidence)
    if not len(confidence_N):
        return None
    curve = calibration.reliability_curve(confidence_N, correct_N, _BINS)
    found: dict[str, Any] = {
        "of": unit,
        "ece": calibration.expected_calibration_error(confidence_N, correct_N, _BINS),
        "mean_confidence": float(confidence_N.mean()),
        "accuracy": float(correct_N.mean()),
        "curve": [
            {
                "low": float(curve.edges[i]),
                "high": float(curve.edges[i + 1]),
                "confidence": float(curve.confidence_B[i]),
                "accuracy": float(curve.accuracy_B[i]),
                "count": int(curve.count_B[i]),
            }
            for i in range(_BINS)
            if curve.count_B[i]
        ],
        "temperature": None,
    }
    if isinstance(evidence, ClassEvidence):
        found |= _temperature(evidence, np.stack([np.asarray(row) for row in logits]))
    return found


def _confidences(evidence: Evidence) -> tuple[Floats, Booleans, str]:
    """Confidence and correctness of every answer: a row, a label of a row, or a word."""
    if isinstance(evidence, ClassEvidence):
        return evidence.confidence_N, evidence.correct(), "rows"
    if isinstance(evidence, MultiLabelEvidence):
        return evidence.probabilities_NC.ravel(), evidence.gold_NC.ravel(), "labels"
    if isinstance(evidence, SpanEvidence):
        pairs = zip(evidence.gold_tags, evidence.predicted_tags, strict=True)
        right = [a == b for gold, ours in pairs for a, b in zip(gold, ours, strict=True)]
        sure = [value for row in evidence.confidences for value in row]
        return np.clip(np.array(sure, dtype=float), 0, 1), np.array(right, dtype=bool), "words"
    return np.zeros(0), np.zeros(0, dtype=bool), ""


def _temperature(evidence: ClassEvidence, logits_NC: Floats) -> dict[str, float]:
    """The temperature that fits best, and what it would do to ECE and log loss."""
    best = calibration.best_temperature(logits_NC, evidence.gold_N)
    scaled = logits_NC.astype(np.float64) / best
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    scaled /= scaled.sum(axis=1, keepdims=True)
    return {
        "temperature": best,
        "log_loss": classification.log_loss(evidence.gold_N, evidence.probabilities_NC),
        "log_loss_at_temperature": classification.log_loss(evidence.gold_N, scaled),
        "ece_at_temperature": calibration.expected_calibration_error(
            scaled.max(axis=1), evidence.correct(), _BINS
        ),
    }
