"""Against scikit-learn and scipy on random numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from modelwright.metrics import regression


@st.composite
def numbers(draw):
    rows = draw(st.integers(3, 40))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    labels = rng.normal(size=rows) * 10.0 ** draw(st.integers(-3, 5))
    predictions = labels * draw(st.sampled_from([-1, 0.5, 1])) + rng.normal(size=rows)
    decimals = draw(st.sampled_from([0, 8]))  # 0 makes ties
    return np.round(labels, decimals), np.round(predictions, decimals)


@settings(deadline=None, max_examples=40)
@given(numbers())
def test_errors_are_scikit_learns(pair):
    assert regression.rmse(*pair) == pytest.approx(reference.root_mean_squared_error(*pair))
    assert regression.mae(*pair) == pytest.approx(reference.mean_absolute_error(*pair))
    expected = reference.median_absolute_error(*pair)
    assert regression.median_absolute_error(*pair) == pytest.approx(expected)
    assert regression.r2(*pair) == pytest.approx(reference.r2_score(*pair))


@settings(deadline=None, max_examples=40)
@given(numbers())
def test_correlations_are_scipys_ties_included(pair):
    if np.ptp(pair[0]) == 0 or np.ptp(pair[1]) == 0:
        assert regression.pearson(*pair) == regression.spearman(*pair) == 0
        return
    assert regression.pearson(*pair) == pytest.approx(stats.pearsonr(*pair)[0], abs=1e-9)
    assert regression.spearman(*pair) == pytest.approx(stats.spearmanr(*pair)[0], abs=1e-9)


def test_constant_answers_correlate_with_nothing_even_where_their_mean_is_rounded():
    assert regression.pearson(np.arange(10), np.full(10, 0.1)) == 0
    assert regression.spearman(np.full(10, 0.1), np.arange(10)) == 0


def test_correlation_survives_numbers_whose_squares_overflow_or_vanish():
    for scale in (1e200, 1e-200):
        values = np.array([1.0, 2.0, 4.0]) * scale
        assert regression.pearson(values, values) == pytest.approx(1)


def test_r2_of_constant_labels_is_1_only_if_all_are_right():
    assert regression.r2([2, 2], [2, 2]) == 1
    assert regression.r2([2, 2], [2, 3]) == 0


@pytest.mark.parametrize(
    ("measure", "labels", "predictions", "text"),
    [
        (regression.rmse, [], [], "labels is empty"),
        (regression.mae, [1], [1, 2], "labels has 1 rows but predictions has 2"),
        (regression.mae, [1, 2], [1, np.nan], r"predictions must hold finite numbers, got nan"),
        (regression.median_absolute_error, [1], [np.inf], "got inf"),
        (regression.mae, ["a"], [1], "labels must hold numbers"),
        (regression.r2, [1], [1], "at least 2 are needed"),
        (regression.spearman, [1], [1], "at least 2 are needed"),
    ],
)
def test_wrong_input_is_refused_in_plain_words(measure, labels, predictions, text):
    with pytest.raises(ValueError, match=text):
        measure(labels, predictions)
