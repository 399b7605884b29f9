"""The bound of a drop: published values, coverage, and what it must never say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.metrics.evidence import ClassEvidence, SpanEvidence
from modelwright.metrics.noninferiority import noninferiority, paired_share_bound, rows_needed


def classes(gold: np.ndarray, answers: np.ndarray) -> ClassEvidence:
    return ClassEvidence(("a", "b"), gold, np.eye(2)[answers])


@pytest.mark.parametrize(("lost", "won", "rows"), [(12, 2, 50), (3, 9, 200), (0, 7, 90)])
def test_the_bound_is_where_the_score_test_of_its_definition_turns(
    lost: int, won: int, rows: int
) -> None:
    bound = paired_share_bound(lost, won, rows)
    only_second = np.linspace(  # the likelihood, by brute force
        max(0.0, -bound) + 1e-7, (1 - bound) / 2 - 1e-7, 400_001
    )
    likelihood = (
        lost * np.log(only_second + bound)
        + won * np.log(only_second)
        + (rows - lost - won) * np.log(1 - 2 * only_second - bound)
    )
    best = only_second[likelihood.argmax()]
    deviation = np.sqrt(rows * (2 * best + bound - bound**2))
    assert (lost - won - rows * bound) / deviation == pytest.approx(-1.6449, abs=2e-3)


def test_rows_that_all_agree_still_leave_a_doubt() -> None:
    assert paired_share_bound(0, 0, 500) == pytest.approx(2.7055 / 502.7055, abs=1e-4)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(100, 5000))
def test_the_bound_lies_above_what_was_seen_and_falls_with_more_rows(
    lost: int, won: int, rows: int
) -> None:
    bound = paired_share_bound(lost, won, rows)
    assert (lost - won) / rows <= bound <= 1
    assert paired_share_bound(10 * lost, 10 * won, 10 * rows) <= bound + 1e-9
    assert paired_share_bound(lost + 1, won, rows) >= bound


def test_a_true_drop_at_the_limit_passes_in_one_of_twenty_draws() -> None:
    rng, passed, draws = np.random.default_rng(0), 0, 4000
    for _ in range(draws):
        lost, won, _ = rng.multinomial(800, [0.03, 0.02, 0.95])  # a drop of 1.0 points
        passed += 100 * paired_share_bound(int(lost), int(won), 800) <= 1.0
    assert 0.03 < passed / draws < 0.065


def test_the_drop_counts_rows_that_one_alone_answers_right() -> None:
    gold = np.zeros(1000, dtype=np.int64)
    first, second = np.zeros(1000, dtype=np.int64), np.zeros(1000, dtype=np.int64)
    first[:20], second[10:40] = 1, 1
    found = noninferiority(classes(gold, first), classes(gold, second))
    assert (found.only_baseline, found.only_candidate) == (20, 10)
    assert found.drop == pytest.approx(0.01)
    assert found.baseline == pytest.approx(0.98)
    assert found.bound > found.drop
    assert not found.within(1.0)
    assert found.within(2.5)


def test_entities_are_judged_by_f1_and_leave_a_doubt_when_equal() -> None:
    tags = [["B-PER", "O", "B-LOC"]] * 300
    same = SpanEvidence(tags, tags, [[1.0] * 3] * 300)
    worse = SpanEvidence(tags, [["B-PER", "O", "O"]] * 30 + tags[30:], [[1.0] * 3] * 300)
    equal = noninferiority(same, same)
    assert equal.drop == 0
    assert 0 < equal.bound < 0.01
    found = noninferiority(same, worse)
    assert found.bound > found.drop > 0.02


def test_other_rows_are_not_compared() -> None:
    gold = np.zeros(4, dtype=np.int64)
    with pytest.raises(ValueError, match="4 and 3 rows"):
        noninferiority(classes(gold, gold), classes(gold[:3], gold[:3]))


def test_more_rows_are_needed_for_less() -> None:
    assert rows_needed(1.0, 0.03) < rows_needed(0.5, 0.03) < rows_needed(0.5, 0.06)
