"""Calls are made of real rows; two forms are compared in turn, with an interval."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from modelwright.engines._latency import TURN, again, calls, interleaved, speed_up, weighted
from modelwright.models.checkpoint import TrainedModel
from modelwright.recipe.schema import CallShape

TEXTS = ["refund", "where is my parcel", "my gift card does not work at the till, what now please"]


def test_a_number_is_rows_of_median_length(trained: TrainedModel) -> None:
    [call] = calls(4, TEXTS, trained)
    assert call.batch == len(call.features) == 4


def test_a_shape_brings_every_row_to_its_length(trained: TrainedModel) -> None:
    [call] = calls([CallShape(batch=3, length=16)], TEXTS, trained)
    assert {len(row["input_ids"]) for row in call.features} == {16}
    [same] = again([call], trained)
    assert same.length == 16
    assert len(same.features) == 3


def test_data_is_single_rows_from_the_shortest_to_the_longest(trained: TrainedModel) -> None:
    found = calls("data", TEXTS, trained)
    assert [call.batch for call in found] == [1, 1, 1]
    lengths = [call.length for call in found]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]


def test_calls_weigh_as_they_were_given() -> None:
    shapes: Any = [
        type("C", (), {"weight": 3.0, "batch": 1}),
        type("C", (), {"weight": 1.0, "batch": 5}),
    ]
    found = weighted([{"p50_ms": 1.0, "p95_ms": 2.0}, {"p50_ms": 5.0, "p95_ms": 6.0}], shapes)
    assert found == {"p50_ms": 2.0, "p95_ms": 3.0, "per_second": 1000.0}


class Busy:
    """Takes its time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def logits(self, _features: Any) -> list[Any]:
        end = time.perf_counter() + self.seconds
        while time.perf_counter() < end:
            pass
        return []


def test_every_form_gets_as_many_turns(trained: TrainedModel) -> None:
    probe = calls(1, TEXTS, trained)
    times = interleaved(
        {"slow": (Busy(0.002), probe), "fast": (Busy(0.0), probe)}, 4 * TURN, seconds=60.0
    )
    assert times["slow"].shape == times["fast"].shape == (4 * TURN, 1)


def test_a_quarter_of_the_time_is_four_times_faster(trained: TrainedModel) -> None:
    probe = calls(1, TEXTS, trained)
    rng = np.random.default_rng(0)
    noise = rng.lognormal(0, 0.2, (200, 1))
    found = speed_up(4.0 * noise, 1.0 * rng.permutation(noise), probe)
    assert found["low"] <= found["ratio"] <= found["high"]
    assert found["ratio"] == pytest.approx(4.0, rel=0.1)
    assert found["high"] - found["low"] < 1.0


def test_the_clock_ends_a_race_that_takes_too_long(trained: TrainedModel) -> None:
    probe = calls(1, TEXTS, trained)
    times = interleaved({"a": (Busy(0.002), probe)}, runs=100_000, seconds=0.05)
    assert 2 * TURN <= len(times["a"]) < 1000
    assert np.isfinite(times["a"]).all()
