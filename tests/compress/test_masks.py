"""What is kept costs no more than allowed and is what matters most."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.compress.importance import Importance
from modelwright.compress.masks import search_masks


def scores(seed: int, layers: int = 2, heads: int = 3, neurons: int = 8) -> Importance:
    draw = np.random.default_rng(seed)
    return Importance(
        draw.exponential(size=(layers, heads)),
        [draw.exponential(size=neurons) for _ in range(layers)],
    )


def line(cost: float, most: int) -> list[float]:
    """Costs of 0 to `most` parts that are all alike."""
    return [cost * count for count in range(most + 1)]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 50),
    head=st.floats(0.5, 8.0),
    share=st.floats(0.3, 1.0),
    multiple=st.sampled_from([1, 2, 4]),
)
def test_the_budget_holds_and_no_layer_goes_empty(
    seed: int, head: float, share: float, multiple: int
) -> None:
    found = scores(seed)
    least = 2 * head + 2 * multiple
    budget = max(least, share * (6 * head + 16))
    heads, neurons = search_masks(
        found, line(head, 3), line(multiple, 8 // multiple), budget, multiple
    )
    assert sum(map(len, heads)) * head + sum(map(len, neurons)) <= budget * 1.002
    assert all(len(each) >= 1 for each in heads)
    assert all(len(each) >= multiple and len(each) % multiple == 0 for each in neurons)
    assert all(each == sorted(set(each)) for each in (*heads, *neurons))


@pytest.mark.parametrize("seed", range(5))
def test_no_other_choice_of_the_same_cost_keeps_more(seed: int) -> None:
    found, budget = scores(seed, heads=2, neurons=3), 7.0
    heads, neurons = search_masks(found, line(2.0, 2), line(1.0, 3), budget, 1)

    def kept(some: object, others: object) -> float:
        return sum(float(found.heads[i][list(h)].sum()) for i, h in enumerate(some)) + sum(  # type: ignore[arg-type]
            float(found.neurons[i][list(n)].sum())
            for i, n in enumerate(others)  # type: ignore[arg-type]
        )

    def subsets(count: int) -> list[tuple[int, ...]]:
        return [c for k in range(1, count + 1) for c in itertools.combinations(range(count), k)]

    best = max(
        kept(h, n)
        for h in itertools.product(subsets(2), repeat=2)
        for n in itertools.product(subsets(3), repeat=2)
        if 2.0 * sum(map(len, h)) + sum(map(len, n)) <= budget
    )
    assert kept(heads, neurons) == pytest.approx(best)


def test_what_costs_nothing_is_kept_whole() -> None:
    found = scores(0)
    heads, neurons = search_masks(found, line(0.0, 3), line(4.0, 2), 8.0, 4)
    assert heads == [[0, 1, 2]] * 2
    assert sum(map(len, neurons)) == 8
    heads, neurons = search_masks(found, line(1.0, 3), line(0.0, 2), 3.0, 4)
    assert sum(map(len, heads)) == 3
    assert neurons == [list(range(8))] * 2


def test_a_budget_below_the_least_gives_the_least() -> None:
    heads, neurons = search_masks(scores(1), line(0.0, 3), line(4.0, 2), 0.1, 4)
    assert [len(each) for each in neurons] == [4, 4]
    heads, neurons = search_masks(scores(1), line(1.0, 3), line(4.0, 2), 0.1, 4)
    assert [len(each) for each in heads] == [1, 1]
    assert [len(each) for each in neurons] == [4, 4]


def test_a_width_that_is_no_multiple_loses_nothing_when_all_is_allowed() -> None:
    found = scores(2, neurons=10)
    _, neurons = search_masks(found, line(1.0, 3), line(4.0, 3), 1000.0, 4)
    assert neurons == [list(range(10))] * 2


def test_a_step_in_the_measured_costs_is_not_climbed_for_little() -> None:
    """The third and fourth group of a layer cost ten times what the first two do."""
    found = Importance(np.array([[1.0], [1.0]]), [np.full(8, 0.5), np.full(8, 0.49)])
    _, neurons = search_masks(found, [0.0, 0.0], [0.0, 1.0, 2.0, 12.0, 22.0], 4.5, 2)
    assert [len(each) for each in neurons] == [4, 4]
