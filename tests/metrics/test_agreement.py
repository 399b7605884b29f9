from __future__ import annotations

import numpy as np
import pytest

from modelwright.metrics.agreement import agreement, max_abs_diff


def test_agreement_is_the_share_of_equal_answers_of_any_kind():
    assert agreement([1, 2, 3, 4], [1, 2, 0, 4]) == 0.75
    assert agreement(["a", "b"], ["a", "c"]) == 0.5


def test_the_largest_difference_is_found_in_arrays_of_any_shape():
    assert max_abs_diff([[1, 2], [3, 4]], [[1, 2.5], [3, 1]]) == 3
    assert max_abs_diff([1], [1]) == 0
    assert max_abs_diff(np.array([0], np.uint8), np.array([1], np.uint8)) == 1


def test_equal_infinities_do_not_differ_and_unequal_ones_do():
    assert max_abs_diff([-np.inf, 1], [-np.inf, 1.5]) == 0.5
    assert max_abs_diff([-np.inf], [0]) == np.inf
    assert max_abs_diff([-np.inf], [np.inf]) == np.inf


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: agreement([], []), "a is empty"),
        (lambda: agreement([1], [1, 2]), "a has 1 rows but b has 2"),
        (lambda: agreement([[1]], [[1]]), r"a must have shape \(rows,\)"),
        (lambda: agreement([np.nan], [np.nan]), "a holds NaN"),
        (lambda: max_abs_diff([1.0], [np.nan]), "b holds NaN, first at flat position 0"),
        (lambda: max_abs_diff([1, 2], [[1, 2]]), r"shape \(2,\) but b has \(1, 2\)"),
        (lambda: max_abs_diff([], []), "a is empty"),
    ],
)
def test_wrong_input_is_refused_in_plain_words(call, text):
    with pytest.raises(ValueError, match=text):
        call()
