"""How a pool is divided."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.data.chunks import hash_all
from modelwright.data.splitting import Wanted, divide, strata, wanted, wanted_for_proof
from modelwright.errors import UserError


def keys(count: int) -> np.ndarray:
    return hash_all([str(n) for n in range(count)])


def test_derived_sizes_are_a_tenth_within_bounds() -> None:
    assert wanted("validation", None, 1_000, 2).rows == 100
    assert wanted("validation", None, 1_000_000, 2).rows == 2_000
    assert wanted("test", None, 1_000_000, 2).rows == 5_000
    assert wanted("test", None, 30, 2).rows == 3
    assert wanted("test", None, 8, 2).rows == 1


def test_small_sets_hold_out_a_row_of_each_class_if_that_is_at_most_a_fifth() -> None:
    assert wanted("test", None, 500, 77).rows == 77
    assert wanted("test", None, 200, 77).rows == 40


def test_fractions_are_taken_as_they_are() -> None:
    assert wanted("test", 0.3, 10, 2).rows == 3
    assert wanted("test", 0.0, 10, 2).rows == 0
    assert wanted("test", 0.001, 10, 2).rows == 1


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=12),
    st.floats(0.01, 0.45),
    st.floats(0.01, 0.45),
    st.integers(0, 5),
)
def test_every_class_keeps_its_share_and_a_training_row(
    sizes: list[int], test: float, validation: float, seed: int
) -> None:
    classes = np.repeat(np.arange(len(sizes)), sizes)
    total = len(classes)
    counts = {"test": round(test * total), "validation": round(validation * total)}
    counts = {name: count for name, count in counts.items() if count}
    try:
        codes = divide(keys(total), classes, None, counts, seed)
    except UserError as error:
        assert error.problem.code == "MW-208"
        assert total - len(sizes) < 2
        return
    for kind, size in enumerate(sizes):
        held = np.bincount(codes[classes == kind], minlength=3)
        assert held[0] >= 1
        assert abs(held[2] - counts.get("test", 0) * size / total) <= 2 or size - held.sum() == 0
    assert (codes == 2).sum() <= counts.get("test", 0)


def test_sizes_are_exact_when_classes_allow_it() -> None:
    classes = np.arange(1000) % 7
    codes = divide(keys(1000), classes, None, {"test": 101, "validation": 53}, 0)
    assert np.bincount(codes).tolist() == [846, 53, 101]


@given(st.lists(st.integers(0, 12), min_size=6, max_size=80), st.integers(0, 3))
def test_a_group_stays_in_one_split(groups: list[int], seed: int) -> None:
    names = hash_all([str(group) for group in groups])
    classes = np.array([at % 3 for at in range(len(groups))])
    try:
        codes = divide(keys(len(groups)), classes, names, {"test": 3, "validation": 2}, seed)
    except UserError as error:
        assert error.problem.code == "MW-208"
        assert len(set(groups)) < 9  # a few groups of uneven size may not divide
        return
    for name in set(names.tolist()):
        assert len(set(codes[names == name].tolist())) == 1
    assert set(codes.tolist()) == {0, 1, 2}


def test_groups_are_divided_near_the_sizes_asked_for_and_by_class() -> None:
    rng = np.random.default_rng(0)
    groups = hash_all([str(n) for n in rng.integers(0, 400, 4000)])
    classes = rng.integers(0, 4, 4000)
    codes = divide(keys(4000), classes, groups, {"test": 400, "validation": 400}, 0)
    held = np.bincount(codes)
    assert abs(held[1] - 400) < 40
    assert abs(held[2] - 400) < 40
    for kind in range(4):
        share = (codes[classes == kind] == 2).mean()
        assert 0.06 < share < 0.14


def test_one_group_cannot_be_divided() -> None:
    with pytest.raises(UserError) as caught:
        divide(keys(9), np.zeros(9, int), hash_all(["a"] * 9), {"test": 2}, 0)
    assert caught.value.problem.code == "MW-208"
    assert "9 usable rows in 1 group" in caught.value.problem.seen


def test_rows_without_a_group_are_on_their_own() -> None:
    codes = divide(keys(50), np.zeros(50, int), np.zeros(50, np.uint64), {"test": 5}, 0)
    assert np.bincount(codes, minlength=3).tolist() == [45, 0, 5]


def test_a_row_with_several_labels_counts_as_its_rarest() -> None:
    names = ["a", "a\x1fb", "b", ""]
    sets = np.array([0, 0, 0, 1, 2, 3])
    assert strata(sets, names).tolist() == [1, 1, 1, 2, 2, 0]


@pytest.mark.parametrize(
    ("rows", "have", "taken"),
    [
        (1_000, 0, 200),  # a fifth at most
        (10_003, 0, 2_000),
        (10_003, 1_500, 500),
        (30_000, 872, 2_128),  # a tenth of many rows, with those that were given
        (1_000_000, 0, 5_000),
        (67_000, 6_000, 0),
    ],
)
def test_a_proof_takes_rows_that_training_hardly_misses(rows: int, have: int, taken: int) -> None:
    assert wanted_for_proof(rows, have, Wanted(0, "")).rows == taken
