"""Against scikit-learn on random labels, and by hand where it has no say."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from modelwright.metrics import classification
from modelwright.metrics.scores import (
    macro_f1_of_counts,
    micro_f1_of_counts,
    weighted_f1_of_counts,
)

CLASSES = 5


@st.composite
def answers(draw):
    rows = draw(st.integers(1, 40))
    ids = st.lists(st.integers(0, CLASSES - 1), min_size=rows, max_size=rows)
    return np.array(draw(ids)), np.array(draw(ids))


@st.composite
def scored(draw):
    rows, classes = draw(st.integers(1, 30)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    probabilities = rng.dirichlet(np.ones(classes), rows)
    return rng.integers(0, classes, rows), probabilities


@settings(deadline=None, max_examples=40)
@given(answers())
def test_accuracy_and_the_confusion_matrix_are_scikit_learns(pair):
    labels, predictions = pair
    assert classification.accuracy(labels, predictions) == reference.accuracy_score(*pair)
    ours = classification.confusion_matrix(labels, predictions, CLASSES)
    assert ours.dtype == np.int64
    assert (ours == reference.confusion_matrix(*pair, labels=range(CLASSES))).all()


@settings(deadline=None, max_examples=40)
@given(answers())
def test_scores_per_class_are_scikit_learns(pair):
    scores = classification.per_class(*pair, CLASSES)
    expected = reference.precision_recall_fscore_support(
        *pair, labels=range(CLASSES), zero_division=0
    )
    ours = (scores.precision_C, scores.recall_C, scores.f1_C, scores.support_C)
    for got, wanted in zip(ours, expected, strict=True):
        assert got == pytest.approx(wanted)


@pytest.mark.parametrize("kind", ["micro", "macro", "weighted"])
@settings(deadline=None, max_examples=40)
@given(pair=answers())
def test_averages_are_scikit_learns(kind, pair):
    ours = getattr(classification.averages(*pair, CLASSES), kind)
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        *pair, average=kind, zero_division=0
    )
    assert (ours.precision, ours.recall, ours.f1) == pytest.approx((precision, recall, f1))
    assert ours.support == len(pair[0])


@settings(deadline=None, max_examples=40)
@given(answers())
def test_balanced_accuracy_and_matthews_correlation_are_scikit_learns(pair):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of predictions that are no label, and of single labels
        balanced = reference.balanced_accuracy_score(*pair)
        correlation = reference.matthews_corrcoef(*pair)
    assert classification.balanced_accuracy(*pair, CLASSES) == pytest.approx(balanced)
    ours = classification.matthews_corrcoef(*pair, CLASSES)
    assert ours == pytest.approx(correlation, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(scored())
def test_log_loss_is_scikit_learns(case):
    labels, probabilities = case
    expected = reference.log_loss(labels, probabilities, labels=range(probabilities.shape[1]))
    assert classification.log_loss(labels, probabilities) == pytest.approx(expected)


@settings(deadline=None, max_examples=40)
@given(scored(), st.data())
def test_top_k_accuracy_is_scikit_learns(case, data):
    labels, probabilities = case
    classes = probabilities.shape[1]
    if classes == 2:  # scikit-learn takes a single column then
        return
    k = data.draw(st.integers(1, classes - 1))
    expected = reference.top_k_accuracy_score(labels, probabilities, k=k, labels=range(classes))
    assert classification.top_k_accuracy(labels, probabilities, k) == pytest.approx(expected)


def test_top_1_of_tied_scores_is_the_accuracy_of_argmax():
    assert classification.top_k_accuracy([0, 1], [[1, 1], [1, 1]], 1) == 0.5
    assert classification.top_k_accuracy([0, 1], [[1, 1], [1, 1]], 2) == 1


@settings(deadline=None, max_examples=40)
@given(answers())
def test_f1_of_summed_row_counts_is_f1_of_the_rows(pair):
    sums = classification.row_counts(*pair, CLASSES).sum(axis=0, dtype=np.int64)[None, :]
    averages = classification.averages(*pair, CLASSES)
    assert micro_f1_of_counts(sums)[0] == pytest.approx(averages.micro.f1)
    assert macro_f1_of_counts(sums)[0] == pytest.approx(averages.macro.f1)
    assert weighted_f1_of_counts(sums)[0] == pytest.approx(averages.weighted.f1)


def test_a_class_absent_everywhere_does_not_count_in_macro_f1():
    assert classification.macro_f1([0, 1], [0, 1], 2) == 1
    assert classification.macro_f1([0, 1], [0, 1], 9) == 1
    assert classification.macro_f1([0, 1], [0, 2], 3) == pytest.approx(1 / 3)


def test_an_impossible_label_costs_36_nats_and_not_infinity():
    assert classification.log_loss([1], [[1.0, 0.0]]) == pytest.approx(36.0437, abs=1e-3)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: classification.accuracy([], []), "labels is empty"),
        (lambda: classification.accuracy([0], [0, 1]), "labels has 1 rows but predictions has 2"),
        (lambda: classification.accuracy([0, -100], [0, 1]), r"got -100 at \[1\]"),
        (lambda: classification.accuracy([0.5], [1]), "whole class ids, got float64"),
        (lambda: classification.confusion_matrix([0, 3], [0, 1], 3), "from 0 to 2, got 3"),
        (lambda: classification.confusion_matrix([0], [0], 0), "classes must be at least 1"),
        (lambda: classification.confusion_matrix([[0]], [0], 2), r"shape \(rows,\), got \(1, 1\)"),
        (lambda: classification.log_loss([0], [[np.nan, 1]]), r"got nan at \[0, 0\]"),
        (lambda: classification.log_loss([0], [[0.2, 0.2]]), "row sums of probabilities"),
        (lambda: classification.log_loss([0], [[-1.0, 2.0]]), "numbers from 0 to 1, got -1.0"),
        (lambda: classification.log_loss([2], [[0.5, 0.5]]), "from 0 to 1, got 2"),
        (lambda: classification.top_k_accuracy([0], [[1, 2]], 3), "k must be from 1 to"),
        (lambda: macro_f1_of_counts([[1, 2, 3, 4]]), "three columns per class, got 4"),
    ],
)
def test_wrong_input_is_refused_in_plain_words(call, text):
    with pytest.raises(ValueError, match=text):
        call()
