"""Coverage by simulation, agreement of the fast ways with the slow one, and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from modelwright.metrics import classification, intervals, resampling
from modelwright.metrics.scores import macro_f1_of_counts, micro_f1_of_counts


def coverage(interval_of, truth, trials=200):
    found = [interval_of(np.random.default_rng(trial)) for trial in range(trials)]
    return np.mean([interval.low <= truth <= interval.high for interval in found])


def test_a_95_percent_interval_of_a_mean_covers_it_in_about_95_percent_of_trials():
    share = coverage(lambda rng: intervals.bootstrap_mean(rng.normal(5, 2, 100)), 5)
    assert 0.90 <= share <= 0.99


def test_a_95_percent_interval_of_an_accuracy_covers_it_in_about_95_percent_of_trials():
    share = coverage(lambda rng: intervals.bootstrap_mean(rng.random(200) < 0.7), 0.7)
    assert 0.90 <= share <= 0.99


def test_an_80_percent_interval_is_narrower_and_covers_less():
    share = coverage(lambda rng: intervals.bootstrap_mean(rng.normal(0, 1, 100), confidence=0.8), 0)
    assert 0.72 <= share <= 0.88


@pytest.mark.parametrize("distinct", [5, 10_000])
def test_the_fast_bootstrap_draws_from_the_distribution_of_the_plain_one(distinct):
    """Few and many distinct rows go two ways; both are compared with scipy's bootstrap."""
    values = np.random.default_rng(1).integers(0, distinct, 300).astype(float)
    ours = intervals.bootstrap_mean(values, resamples=4000)
    plain = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=2)
    width = ours.high - ours.low
    assert ours.value == pytest.approx(values.mean())
    assert ours.low == pytest.approx(plain.confidence_interval.low, abs=0.06 * width)
    assert ours.high == pytest.approx(plain.confidence_interval.high, abs=0.06 * width)


def test_the_fast_interval_of_macro_f1_is_that_of_the_slow_one():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    predictions = np.where(rng.random(200) < 0.7, labels, rng.integers(0, 3, 200))
    fast = intervals.bootstrap_from_counts(
        classification.row_counts(labels, predictions, 3), macro_f1_of_counts, resamples=4000
    )
    slow = intervals.bootstrap(
        lambda index: classification.macro_f1(labels[index], predictions[index], 3), 200
    )
    assert fast.value == pytest.approx(slow.value)
    assert fast.low == pytest.approx(slow.low, abs=0.012)
    assert fast.high == pytest.approx(slow.high, abs=0.012)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    values = np.random.default_rng(0).normal(size=50)

    def index_mean(index):
        return values[index].mean()

    for make in (
        lambda seed: intervals.bootstrap_mean(values, seed=seed),
        lambda seed: intervals.bootstrap_mean(values > 0.3, seed=seed),
        lambda seed: intervals.bootstrap(index_mean, 50, seed=seed),
        lambda seed: intervals.paired_bootstrap(index_mean, 50, seed=seed),
    ):
        assert make(3) == make(3)
        assert make(3) != make(4)


@pytest.mark.parametrize("distinct", [4, 10_000])
def test_many_small_chunks_cover_every_resample(monkeypatch, distinct):
    monkeypatch.setattr(resampling, "_CHUNK_ENTRIES", 100)
    counts = np.random.default_rng(0).integers(0, distinct, (300, 1))
    seen = []

    def statistic(sums):
        seen.append(len(sums))
        return sums[:, 0] / 300

    intervals.bootstrap_from_counts(counts, statistic, resamples=100)
    assert sum(seen) == 100 + 1
    assert len(seen) > 2


def test_rows_of_equal_counts_draw_the_number_of_rows_in_every_resample():
    counts = np.repeat([[1, 0], [1, 2], [1, 7]], [50, 30, 20], axis=0)
    same = intervals.bootstrap_from_counts(counts, lambda sums: sums[:, 0])
    assert (same.value, same.low, same.high) == (100, 100, 100)


def test_a_ratio_of_sums_is_not_a_mean_of_ratios():
    ratio = intervals.bootstrap_ratio([1, 9], [1, 18])
    assert ratio.value == pytest.approx(10 / 19)
    assert (ratio.low, ratio.high) == pytest.approx((0.5, 1))


def test_resamples_in_which_a_ratio_is_undefined_are_left_out():
    ratio = intervals.bootstrap_ratio([0, 1], [0, 2])
    assert (ratio.low, ratio.high) == (0.5, 0.5)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_is_scipys(n, share, confidence):
    successes = round(share * n)
    ours = intervals.wilson(successes, n, confidence)
    theirs = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert ours.low <= ours.value <= ours.high


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 10))
def test_mcnemar_is_the_exact_binomial_test_of_the_rows_that_differ(only_a, only_b, both):
    a = [1] * only_a + [0] * only_b + [1] * both + [0]
    b = [0] * only_a + [1] * only_b + [1] * both + [0]
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert intervals.mcnemar(a, b) == pytest.approx(expected)


def systems(rows=400, better=0.08):
    rng = np.random.default_rng(5)
    first = rng.random(rows) < 0.7
    second = np.where(rng.random(rows) < better, True, first)
    return first, second


def test_a_better_system_is_told_from_a_worse_one_on_the_same_rows():
    first, second = systems()
    gain = intervals.paired_bootstrap(
        lambda index: second[index].mean() - first[index].mean(), len(first)
    )
    assert 0 < gain.low < gain.value < gain.high
    assert gain.p_value < 0.01


def test_the_fast_paired_bootstrap_is_that_of_the_slow_one():
    first, second = systems()

    def accuracy(sums):
        return sums[:, 0] / len(first)

    fast = intervals.paired_bootstrap_from_counts(
        first[:, None], second[:, None], accuracy, resamples=4000
    )
    slow = intervals.paired_bootstrap(
        lambda index: second[index].mean() - first[index].mean(), len(first)
    )
    assert fast.value == pytest.approx(slow.value)
    assert (fast.low, fast.high) == pytest.approx((slow.low, slow.high), abs=0.004)


def test_a_system_does_not_differ_from_itself():
    counts = classification.row_counts([0, 1, 1, 0], [0, 1, 0, 0], 2)
    same = intervals.paired_bootstrap_from_counts(counts, counts, micro_f1_of_counts)
    assert same == intervals.Difference(0, 0, 0, 1)


def test_systems_that_are_equally_good_are_rarely_told_apart():
    """At a 5% level, about 5% of 200 trials: the p-value is calibrated."""
    small = 0
    for trial in range(200):
        first, second = np.random.default_rng(trial).normal(size=(2, 80, 1))
        difference = intervals.paired_bootstrap_from_counts(
            first, second, lambda sums: sums[:, 0] / 80, resamples=400
        )
        small += difference.p_value < 0.05
    assert 2 <= small <= 22


ONE = [[1.0]]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: intervals.bootstrap_mean([]), "values is empty"),
        (lambda: intervals.bootstrap_mean([1, np.nan]), "got nan"),
        (lambda: intervals.bootstrap_mean([1, 2], confidence=95), "between 0 and 1, got 95"),
        (lambda: intervals.bootstrap_mean([1, 2], resamples=0), "resamples must be at least 1"),
        (lambda: intervals.bootstrap_ratio([1], [0]), "below sums to 0"),
        (lambda: intervals.bootstrap_ratio([1], [1, 2]), "above has 1 rows but below has 2"),
        (lambda: intervals.bootstrap(lambda index: 1.0, 0), "rows must be at least 1"),
        (lambda: intervals.bootstrap(lambda index: np.nan, 3), "must be finite, got nan"),
        (lambda: intervals.bootstrap_from_counts([1, 2], macro_f1_of_counts), "shape"),
        (
            lambda: intervals.paired_bootstrap_from_counts(ONE, [[1.0], [2.0]], micro_f1_of_counts),
            r"first has shape \(1, 1\) but second has \(2, 1\)",
        ),
        (lambda: intervals.wilson(0, 0), "n must be at least 1"),
        (lambda: intervals.wilson(3, 2), "from 0 to n, 2, got 3"),
        (lambda: intervals.mcnemar([], []), "correct_a is empty"),
        (lambda: intervals.mcnemar([1], [1, 0]), "correct_a has 1 rows but correct_b has 2"),
    ],
)
def test_wrong_input_is_refused_in_plain_words(call, text):
    with pytest.raises(ValueError, match=text):
        call()
