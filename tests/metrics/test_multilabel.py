"""Against scikit-learn on random matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from modelwright.metrics import multilabel
from modelwright.metrics.scores import macro_f1_of_counts, micro_f1_of_counts


@st.composite
def matrices(draw):
    rows, classes = draw(st.integers(1, 20)), draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    share = draw(st.sampled_from([0.05, 0.3, 0.7]))
    return rng.random((rows, classes)) < share, rng.random((rows, classes)) < share


@settings(deadline=None, max_examples=40)
@given(matrices())
def test_averages_are_scikit_learns_over_the_classes_present(pair):
    labels, predictions = pair
    present = np.flatnonzero((labels | predictions).any(axis=0))
    kinds = {
        "micro": multilabel.micro_f1,
        "macro": multilabel.macro_f1,
        "weighted": multilabel.weighted_f1,
    }
    for kind, ours in kinds.items():
        expected = (
            reference.f1_score(labels, predictions, labels=present, average=kind, zero_division=0)
            if len(present)
            else 0
        )
        assert ours(labels, predictions) == pytest.approx(expected)


@settings(deadline=None, max_examples=40)
@given(matrices())
def test_rows_and_pairs_are_counted_as_in_scikit_learn(pair):
    labels, predictions = pair
    expected = reference.f1_score(labels, predictions, average="samples", zero_division=1)
    assert multilabel.samples_f1(*pair) == pytest.approx(expected)
    assert multilabel.subset_accuracy(*pair) == pytest.approx(reference.accuracy_score(*pair))
    assert multilabel.hamming_loss(*pair) == pytest.approx(reference.hamming_loss(*pair))


@settings(deadline=None, max_examples=40)
@given(matrices())
def test_scores_per_class_are_scikit_learns(pair):
    scores = multilabel.per_class(*pair)
    expected = reference.precision_recall_fscore_support(*pair, average=None, zero_division=0)
    ours = (scores.precision_C, scores.recall_C, scores.f1_C, scores.support_C)
    for got, wanted in zip(ours, expected, strict=True):
        assert got == pytest.approx(wanted)


@settings(deadline=None, max_examples=40)
@given(matrices())
def test_f1_of_summed_row_counts_is_f1_of_the_rows(pair):
    sums = multilabel.row_counts(*pair).sum(axis=0, dtype=np.int64)[None, :]
    assert micro_f1_of_counts(sums)[0] == pytest.approx(multilabel.micro_f1(*pair))
    assert macro_f1_of_counts(sums)[0] == pytest.approx(multilabel.macro_f1(*pair))


def test_a_row_rightly_left_without_labels_scores_1():
    assert multilabel.samples_f1([[0, 0], [1, 0]], [[0, 0], [0, 1]]) == 0.5


@pytest.mark.parametrize(
    ("labels", "predictions", "text"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3)), "labels is empty"),
        ([[0, 1]], [[0, 1], [1, 1]], r"shape \(1, 2\) but predictions has \(2, 2\)"),
        ([[0, 2]], [[0, 1]], r"0 and 1 or booleans, got 2 at \[0, 1\]"),
        ([[0, np.nan]], [[0, 1]], "got nan"),
        ([0, 1], [0, 1], r"shape \(rows, columns\), got \(2,\)"),
    ],
)
def test_wrong_input_is_refused_in_plain_words(labels, predictions, text):
    for measure in (multilabel.micro_f1, multilabel.samples_f1, multilabel.hamming_loss):
        with pytest.raises(ValueError, match=text):
            measure(labels, predictions)
