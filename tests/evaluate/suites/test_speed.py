"""What the speed suite measures, and that it keeps to its time."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pydantic import ValidationError

from modelwright import plugs
from modelwright.encoders.batches import of_length


def measure(world: Any, **options: Any) -> dict[str, Any]:
    plug = plugs.load("suite", "speed")
    config = plug.config.model_validate({"seconds": 0.2, **options})
    return plug.cls(config).measure(world.context())


def test_every_shape_is_measured_shortest_and_smallest_first(intents: Any) -> None:
    found = measure(intents)["latency"]
    shapes = [(entry["length"], entry["batch"]) for entry in found]
    assert shapes == sorted(shapes)
    assert {batch for _, batch in shapes} == {1, 8, 32}
    assert shapes[-1][0] == 32


def test_percentiles_are_in_order_and_rates_follow_from_the_batch(world: Any) -> None:
    for entry in measure(world)["latency"]:
        assert 0 <= entry["p50_ms"] <= entry["p95_ms"] <= entry["p99_ms"]
        assert entry["per_second"] > 0
        assert entry["runs"] >= 3


def test_pictures_have_one_length(pictures: Any) -> None:
    assert {entry["length"] for entry in measure(pictures)["latency"]} == {None}


def test_the_model_sees_batches_of_exactly_the_size_named(intents: Any) -> None:
    context = intents.context()
    intents.model.batches.clear()
    plug = plugs.load("suite", "speed")
    plug.cls(plug.config(batches=[5], seconds=0.05)).measure(context)
    assert set(intents.model.batches) - {256, 44} == {5}


def test_throughput_is_over_the_real_rows_in_file_order(intents: Any) -> None:
    found = measure(intents, seconds=5)["throughput"]
    assert found["rows"] == 300
    assert sum(found["shares"].values()) == pytest.approx(1, abs=1e-3)


def test_a_slow_model_still_ends_near_its_time(intents: Any) -> None:
    reply = intents.model.reply
    context = intents.context()

    def slow(feature: Any) -> Any:
        time.sleep(0.001)
        return reply(feature)

    intents.model.reply = slow
    plug = plugs.load("suite", "speed")
    started = time.perf_counter()
    plug.cls(plug.config(seconds=0.5, batches=[1, 8], lengths=[8])).measure(context)
    assert time.perf_counter() - started < 5


def test_lengths_of_the_recipe_stay_within_what_the_encoder_takes(intents: Any) -> None:
    found = measure(intents, lengths=[4, 10_000], batches=[1])
    assert [entry["length"] for entry in found["latency"]] == [4, 32]


@pytest.mark.parametrize("length", [3, 5, 9])
def test_a_feature_is_cut_or_repeated_to_length_with_its_ends_kept(length: int) -> None:
    feature = {"input_ids": [101, 7, 8, 9, 102], "token_type_ids": [0] * 5, "positions": [1, 4]}
    found = of_length(feature, length)
    assert len(found["input_ids"]) == len(found["token_type_ids"]) == length
    assert (found["input_ids"][0], found["input_ids"][-1]) == (101, 102)
    assert max(found["positions"]) < length
    assert feature["input_ids"] == [101, 7, 8, 9, 102]


@pytest.mark.parametrize("options", [{"batches": []}, {"batches": [0]}, {"seconds": 0}])
def test_shapes_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        plugs.load("suite", "speed").config.model_validate(options)
