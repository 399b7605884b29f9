"""Against scikit-learn, scipy's minimiser, and sums by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from modelwright.metrics import calibration

seeds = st.integers(0, 10_000)


def test_expected_calibration_error_is_the_sum_by_hand():
    # Bins of 0.5: (0.3 and 0.5, half right: gap 0.1), (0.9, 0.7, 0.8, two right: gap 0.1333).
    confidence = [0.3, 0.5, 0.9, 0.7, 0.8]
    correct = [True, False, True, True, False]
    error = calibration.expected_calibration_error(confidence, correct, bins=2)
    assert error == pytest.approx(2 / 5 * 0.1 + 3 / 5 * (0.8 - 2 / 3))


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(1, 20))
def test_the_reliability_curve_is_scikit_learns_where_bins_are_filled(seed, bins):
    rng = np.random.default_rng(seed)
    confidence = rng.random(60)
    correct = rng.random(60) < confidence
    curve = calibration.reliability_curve(confidence, correct, bins)
    accuracy, mean = calibration_curve(correct, confidence, n_bins=bins)
    filled = curve.count_B > 0
    assert curve.accuracy_B[filled] == pytest.approx(accuracy)
    assert curve.confidence_B[filled] == pytest.approx(mean)
    assert curve.count_B.sum() == 60
    assert len(curve.edges) == bins + 1


def test_an_edge_belongs_to_the_bin_below_it_and_0_to_the_first():
    curve = calibration.reliability_curve([0, 0.5, 1], [0, 0, 1], bins=2)
    assert curve.count_B.tolist() == [2, 1]


def test_confident_and_always_right_is_calibrated_and_always_wrong_is_not():
    assert calibration.expected_calibration_error([1, 1], [1, 1]) == 0
    assert calibration.expected_calibration_error([1, 1], [0, 0]) == 1


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(2, 5))
def test_the_brier_score_is_scikit_learns(seed, classes):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), 20)
    labels = rng.integers(0, classes, 20)
    expected = brier_score_loss(
        labels, probabilities, labels=list(range(classes)), scale_by_half=False
    )
    assert calibration.brier_score(labels, probabilities) == pytest.approx(expected)


@settings(deadline=None, max_examples=40)
@given(seeds, st.sampled_from([0.3, 1, 3]))
def test_the_best_temperature_is_where_scipy_finds_the_least_log_loss(seed, scale):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(200, 4)) * 2
    chances = softmax(logits, axis=1)
    labels = np.array([rng.choice(4, p=p) for p in chances])
    logits = logits * scale

    def loss(log_temperature):
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -scaled[np.arange(200), labels].mean()

    expected = minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-9})
    found = calibration.best_temperature(logits, labels)
    assert found == pytest.approx(np.exp(expected.x), rel=1e-4)


def test_temperatures_stay_within_their_bounds():
    right, wrong = [[9.0, 0.0], [0.0, 9.0]], [[0.0, 9.0], [9.0, 0.0]]
    assert calibration.best_temperature(right, [0, 1]) == pytest.approx(0.05)
    assert calibration.best_temperature(wrong, [0, 1]) == pytest.approx(20)
    assert calibration.best_temperature([[3.0, 3.0]], [0]) == 1


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: calibration.expected_calibration_error([], []), "confidence is empty"),
        (lambda: calibration.expected_calibration_error([1.2], [1]), "from 0 to 1, got 1.2"),
        (lambda: calibration.expected_calibration_error([np.nan], [1]), "got nan"),
        (lambda: calibration.reliability_curve([0.5], [1, 0]), "confidence has 1 rows but correct"),
        (lambda: calibration.reliability_curve([0.5], [1], 0), "bins must be at least 1"),
        (lambda: calibration.brier_score([0], [[0.4, 0.4]]), "row sums"),
        (lambda: calibration.best_temperature([[np.nan, 0]], [0]), "got nan"),
        (lambda: calibration.best_temperature([[1, 0]], [0, 1]), "labels has 2 rows"),
    ],
)
def test_wrong_input_is_refused_in_plain_words(call, text):
    with pytest.raises(ValueError, match=text):
        call()
