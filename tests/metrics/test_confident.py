"""Planted flips are found, and the rules of the paper hold by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from modelwright.metrics.confident import suspicious_labels


def test_most_flips_planted_in_real_digits_are_found_and_mended():
    images, truth = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    flipped = rng.choice(len(truth), 90, replace=False)
    labels = truth.copy()
    labels[flipped] = (truth[flipped] + rng.integers(1, 10, 90)) % 10
    model = LogisticRegression(C=0.3, max_iter=200)
    probabilities = cross_val_predict(model, images / 16, labels, cv=3, method="predict_proba")
    issues = suspicious_labels(labels, probabilities)
    found = np.isin(flipped, issues.indices_S).mean()
    precise = np.isin(issues.indices_S, flipped).mean()
    mended = (issues.suggested_S == truth[issues.indices_S]).mean()
    assert found > 0.65
    assert precise > 0.8
    assert mended > 0.8
    assert np.isin(issues.indices_S[:50], flipped).mean() > 0.95


# Thresholds: class 0 (0.9 + 0.8 + 0.1) / 3 = 0.6, class 1 (0.7 + 0.75) / 2 = 0.725.
LABELS = [0, 0, 0, 1, 1]
PROBABILITIES = [[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.25, 0.75]]


def test_thresholds_scores_and_suggestions_are_those_by_hand():
    issues = suspicious_labels(LABELS, PROBABILITIES)
    assert issues.threshold_C == pytest.approx([0.6, 0.725])
    assert issues.indices_S.tolist() == [2]
    assert issues.suggested_S.tolist() == [1]
    assert issues.score_S == pytest.approx([(0.1 - 0.9 + 1) / 2])
    assert issues.self_confidence_S == pytest.approx([0.1])


def test_a_class_without_rows_is_never_suggested_nor_in_the_way():
    wider = [[*row, 0.0] for row in PROBABILITIES]
    issues = suspicious_labels(LABELS, wider)
    assert issues.threshold_C[2] == np.inf
    assert issues.indices_S.tolist() == [2]
    lone = suspicious_labels([0, 0], [[0.4, 0.6], [0.1, 0.9]])
    assert len(lone.indices_S) == 0


def test_a_row_below_every_threshold_is_not_suspicious():
    labels, unsure = [*LABELS, 1], [*PROBABILITIES, [0.5, 0.5]]
    issues = suspicious_labels(labels, unsure)
    assert 5 not in issues.indices_S


def test_a_label_that_is_the_most_probable_class_is_not_suspicious():
    # Row 0 is below its class's threshold, 0.775, and above that of class 1, 0.35.
    probabilities = [[0.55, 0.45], [1.0, 0.0], [0.7, 0.3], [0.6, 0.4]]
    issues = suspicious_labels([0, 0, 1, 1], probabilities)
    assert issues.threshold_C == pytest.approx([0.775, 0.35])
    assert 0 not in issues.indices_S


def test_the_worst_label_comes_first():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 300)
    issues = suspicious_labels(rng.integers(0, 4, 300), probabilities)
    assert len(issues.indices_S) > 20
    assert (np.diff(issues.score_S) >= 0).all()
    assert ((issues.score_S >= 0) & (issues.score_S <= 1)).all()


def test_equal_probabilities_everywhere_raise_no_suspicion_by_rounding():
    issues = suspicious_labels([0] * 7, [[0.1, 0.9]] * 7)
    assert issues.indices_S.tolist() == []


@pytest.mark.parametrize(
    ("labels", "probabilities", "text"),
    [
        ([], np.zeros((0, 2)), "probabilities is empty"),
        ([0], [[1.0]], "at least 2 are needed"),
        ([0, 1], [[0.5, 0.5]], "labels has 2 rows but probabilities has 1"),
        ([2], [[0.5, 0.5]], "from 0 to 1, got 2"),
        ([0], [[np.nan, 0.5]], "got nan"),
    ],
)
def test_wrong_input_is_refused_in_plain_words(labels, probabilities, text):
    with pytest.raises(ValueError, match=text):
        suspicious_labels(labels, probabilities)
