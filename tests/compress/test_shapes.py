"""Measured costs become a table for every width; the front is laid out by it."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright.compress.importance import Importance
from modelwright.compress.shapes import MULTIPLE, Costs, Shape, front, shaped, table, thinned


def test_a_table_goes_through_what_was_measured() -> None:
    found = table({3: 1.3, 6: 1.6, 12: 2.5}, 12, ceiling=10.0)
    assert found[0] == 0.0
    assert found[6] - found[3] == pytest.approx(0.3)
    assert found[12] - found[6] == pytest.approx(0.9)
    assert found[3] == pytest.approx(0.3), "below the least measured, its line goes on"


def test_noise_can_make_parts_neither_free_nor_dearer_than_a_layer() -> None:
    assert table({6: 1.2, 12: 1.1}, 12, ceiling=1.0)[-1] == pytest.approx(0.05)
    found = table({6: 1.0, 12: 9.0}, 12, ceiling=1.0)
    assert found[-1] == pytest.approx(1.0)
    assert np.all(np.diff(found) > 0)


def test_parts_that_are_not_cut_cost_nothing() -> None:
    assert table({12: 2.5}, 12, ceiling=1.0) == (0.0,) * 13


def small() -> tuple[Importance, Costs]:
    draw = np.random.default_rng(0)
    heads = draw.exponential(size=(4, 4))
    neurons = [draw.exponential(size=4 * MULTIPLE) for _ in range(4)]
    return Importance(heads, neurons), Costs(
        1.0, 1.0, tuple(0.2 * n for n in range(5)), tuple(0.3 * n for n in range(5))
    )


def test_a_shape_costs_what_the_table_says() -> None:
    found, costs = small()
    cuts = frozenset({"layers", "heads", "ffn"})
    whole = shaped(found, costs, cuts, 4, 1.0)
    assert whole.cost == pytest.approx(1.0 + 4 * (1.0 + 0.8 + 1.2))
    half = shaped(found, costs, cuts, 2, 0.5)
    assert half.cost <= 1.0 + 2 * (1.0 + 0.5 * 2.0) + 1e-6
    assert half.layers == (1, 3)


def test_the_front_falls_in_cost_and_rises_in_loss() -> None:
    found, costs = small()
    shapes = front(found, costs, frozenset({"layers", "heads", "ffn"}), seed=0)
    assert len(shapes) > 3
    prices, losses = [s.cost for s in shapes], [s.lost for s in shapes]
    assert prices == sorted(prices, reverse=True)
    assert losses == sorted(losses)


def test_a_shape_that_is_hardly_cheaper_is_left_out() -> None:
    def of(cost: float, lost: float) -> Shape:
        return Shape((), (), (), cost, lost)

    mild, near, cheap = of(5.009, 0.126), of(5.007, 0.169), of(4.27, 0.191)
    assert thinned([mild, near, cheap]) == [mild, cheap]
