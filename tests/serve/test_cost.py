"""The cost model learns what calls take, from calls of unlike shapes and in spite of hiccups."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.serve._cost import CostModel


def learned(fixed: float, each: float, width: int = 16, calls: int = 60) -> CostModel:
    model, chance = CostModel(), random.Random(0)
    for _ in range(calls):
        rows = chance.choice([1, 2, 4, 8])
        model.learn(width, rows, fixed + each * rows)
    return model


def test_it_finds_what_is_fixed_and_what_each_row_takes():
    model = learned(0.010, 0.001)
    assert model.fit(16) == pytest.approx((0.010, 0.001), rel=0.01)
    assert model.seconds(16, 20) == pytest.approx(0.030, rel=0.01)


def test_nothing_is_fixed_as_long_as_only_one_size_was_seen():
    model = CostModel()
    for _ in range(10):
        model.learn(16, 4, 0.008)
    assert model.fit(16) == pytest.approx((0.0, 0.002))


def test_a_width_that_was_never_run_is_judged_by_its_tokens():
    model = CostModel()
    assert model.seconds(64, 2) == 0
    model.learn(16, 1, 0.001)
    assert model.seconds(64, 2) == pytest.approx(0.008)


def test_the_first_call_of_a_shape_is_not_counted():
    model = learned(0.0, 0.001)
    model.learn(16, 3, 5.0)
    assert model.seconds(16, 3) == pytest.approx(0.003, rel=0.01)


def test_one_call_that_the_machine_held_up_changes_little():
    model = learned(0.0, 0.001)
    model.learn(16, 4, 30.0)
    assert model.seconds(16, 4) < 0.006


def test_it_follows_a_machine_that_becomes_slower():
    model = learned(0.0, 0.001)
    for _ in range(300):
        model.learn(16, 4, 0.012)
    assert model.seconds(16, 4) == pytest.approx(0.012, rel=0.1)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([4, 16, 64]), st.integers(1, 64), st.floats(0, 100, allow_nan=False)
        ),
        max_size=60,
    )
)
def test_nothing_is_ever_negative(calls: list[tuple[int, int, float]]):
    model = CostModel()
    for width, rows, seconds in calls:
        model.learn(width, rows, seconds)
    for width in (4, 16, 64, 128):
        fixed, each = model.fit(width)
        assert fixed >= 0
        assert each >= 0
