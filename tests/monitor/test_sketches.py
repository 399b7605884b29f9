"""Sketches add up, and their comparison errs as rarely as it says."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.monitor.sketches import (
    MOST_CATEGORIES,
    REST,
    Categories,
    Ordered,
    restored,
    score,
)

EDGES = tuple(np.linspace(-3, 3, 61).tolist())
numbers = st.lists(st.floats(-5, 5) | st.just(float("nan")), max_size=50)


@given(numbers, numbers)
def test_parts_of_the_rows_add_up_to_all_of_them(first: list[float], second: list[float]) -> None:
    parts = Ordered(EDGES).add(np.array(first)).merge(Ordered(EDGES).add(np.array(second)))
    whole = Ordered(EDGES).add(np.array(first + second))
    assert parts.counts == whole.counts
    assert whole.rows == sum(value == value for value in first + second)
    assert restored("ordered", EDGES, whole.as_dict()) == whole


def test_categories_beyond_the_most_frequent_are_kept_as_one() -> None:
    sketch = Categories().add(["often"] * 3 + [f"name {n}" for n in range(5_000)])
    assert len(sketch.counts) == MOST_CATEGORIES + 1
    assert sketch.rows == 5_003
    assert sketch.counts["often"] == 3
    assert sketch.counts[REST] == 5_000 - MOST_CATEGORIES + 1
    assert restored("categories", (), sketch.as_dict()) == sketch


def test_counts_of_other_edges_are_refused() -> None:
    with pytest.raises(ValueError, match="3 counts for 61 edges"):
        restored("ordered", EDGES, {"counts": [1, 2, 3]})


@pytest.mark.parametrize("kind", ["ordered", "categories"])
def test_rows_of_one_distribution_alarm_as_rarely_as_promised(kind: str) -> None:
    draw, alpha, times, alarms = np.random.default_rng(0), 0.05, 400, 0
    weights = 1 / np.arange(1, 41)
    for _ in range(times):
        if kind == "ordered":
            mine, theirs = (Ordered(EDGES).add(draw.normal(size=n)) for n in (1_500, 500))
            alarms += mine.moved(theirs).p < alpha
        else:
            rows = draw.choice(40, 2_000, p=weights / weights.sum()).astype(str).tolist()
            alarms += Categories().add(rows[500:]).moved(Categories().add(rows[:500])).p < alpha
    assert alarms <= times * alpha + 3 * np.sqrt(times * alpha)


def test_a_tenth_of_the_rows_in_the_tail_is_found_and_told() -> None:
    draw = np.random.default_rng(1)
    mine = Ordered(EDGES).add(draw.normal(size=2_000))
    theirs = Ordered(EDGES).add(np.concatenate([draw.normal(size=900), draw.normal(2.5, 0.3, 100)]))
    moved = mine.moved(theirs)
    assert moved.p < 1e-8
    assert moved.above
    assert 1.0 < float(moved.place) < 2.5
    assert moved.window > 2 * moved.reference


def test_fewer_rows_above_are_told_as_more_below() -> None:
    draw = np.random.default_rng(2)
    mine = Ordered(EDGES).add(draw.normal(size=2_000))
    moved = mine.moved(Ordered(EDGES).add(draw.normal(-1.0, size=500)))
    assert not moved.above
    assert moved.window > moved.reference


def test_one_category_more_is_named_and_many_a_little_are_told_together() -> None:
    even = Counter({f"c{n}": 40 for n in range(50)})
    one = Categories(Counter({**even, "c7": 120}))
    assert Categories(even).moved(one).place == "c7"
    half = Categories(Counter({f"c{n}": 6 if n < 25 else 24 for n in range(50)}))
    moved = Categories(even).moved(half)
    assert moved.place == ""
    assert moved.p < 1e-6
    assert moved.window == pytest.approx(0.3)


@pytest.mark.parametrize("rows", [[], [float("nan")] * 4])
def test_nothing_is_said_about_no_rows(rows: list[float]) -> None:
    mine = Ordered(EDGES).add(np.zeros(10))
    assert mine.moved(Ordered(EDGES).add(np.array(rows))).p == 1.0
    assert Categories().add(["a", "b"]).moved(Categories()).p == 1.0


def test_a_score_of_one_is_the_alarm() -> None:
    assert score(1e-4, 1e-4) == pytest.approx(1.0)
    assert score(1.0, 1e-4) == 0.0
    assert score(1e-8, 1e-4) == pytest.approx(2.0)
    assert score(0.0, 1e-4) > 50
