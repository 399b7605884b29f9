"""The simulated autoscaler decides as Ray Serve's own code does, and hears as late as it is told."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.artifacts.capacity import Capacity, Load
from modelwright.deploy import latency
from modelwright.deploy.policy import UNBOUNDED, Policy
from modelwright.deploy.scaler import Reports, Scaler, mean_held
from modelwright.deploy.simulating import OWN, Shared, simulate
from modelwright.deploy.traces import Trace

LOADS = (
    Load(25.0, 1.0, 10.0, 20.0, 0.1, 0.25), Load(50.0, 1.0, 12.0, 35.0, 0.4, 0.5),
    Load(100.0, 1.0, 20.0, 80.0, 1.5, 1.0),
)  # fmt: skip
ONE = Capacity("intents", "abc", "onnx-int8", "a processor", 1, 100.0, 100.0, LOADS, 200.0, 4.0)
STEP = Trace("step", np.array([2.0] * 20 + [100.0] * 60), 1.0)
LIKE_RAY = Policy(
    maximum=10, target=1.0, up_seconds=1.0, up_factor=UNBOUNDED,
    look_back_seconds=2.0, metrics_seconds=0.5,
)  # fmt: skip

gains = st.sampled_from([0.3, 0.5, 1.0, 1.7])
moments = st.lists(st.tuples(st.floats(0, 60), st.integers(0, 20)), min_size=1, max_size=12)


def grown(policy: Policy, shared: Shared = OWN) -> float:
    """When the first replica more answered."""
    found = simulate(ONE, STEP, policy, shared=shared)
    place = found.replicas > policy.minimum
    return float(found.seconds[np.argmax(place)]) if place.any() else math.inf


@given(
    st.lists(st.floats(0, 30), min_size=1, max_size=60), gains, gains,
    st.sampled_from([0.0, 0.7, 3.0]), st.sampled_from([0.0, 2.0, 5.0]), st.integers(0, 4),
)  # fmt: skip
def test_every_decision_is_the_one_that_rays_own_code_takes(
    flying: list[float], up: float, down: float, up_seconds: float, down_seconds: float, start: int
) -> None:
    policy = Policy(
        minimum=1, maximum=9, target=1.5, up_seconds=up_seconds, down_seconds=down_seconds,
        up_factor=UNBOUNDED, up_gain=up, down_gain=down,
    )  # fmt: skip
    scaler, state = Scaler(policy, float(start), 1.0), {}
    for now, seen in enumerate(flying):
        running = scaler.ready(1.0)
        decided, state = _ray_decides(policy, running, scaler.paid, seen, state, float(now))
        scaler.wanted(float(now), seen, 0.0)
        assert scaler.paid == decided


def _ray_decides(
    policy: Policy, running: int, target: int, seen: float, state: dict[str, Any], now: float
) -> tuple[int, dict[str, Any]]:
    ray = pytest.importorskip("ray.serve.autoscaling_policy", reason="ray is not installed")
    from ray.serve.config import AutoscalingConfig

    from modelwright.deploy.targets.ray import autoscaling

    told = autoscaling(replace(policy, look_back_seconds=15.0, metrics_seconds=10.0))
    config = AutoscalingConfig(**told)
    context = SimpleNamespace(
        config=config, current_num_replicas=running, total_num_requests=seen,
        target_num_replicas=target,
    )  # fmt: skip
    wanted, _ = ray._core_replica_queue_length_policy(context)
    scaled = ray._apply_scaling_factors(wanted, running, config)
    decided, state = ray._apply_delay_logic(max(0, scaled), target, config, state, now)
    return max(policy.minimum, min(policy.maximum, decided)), state


@given(moments)
def test_the_mean_of_what_was_told_is_rays(points: list[tuple[float, int]]) -> None:
    merge = pytest.importorskip("ray.serve._private.autoscaling_metrics_merge")
    ordered = sorted({at: float(value) for at, value in points}.items())
    now = ordered[-1][0] + 1.25
    times, values = (np.array(column) for column in zip(*ordered, strict=True))
    theirs = merge.merge_and_aggregate_arrays(times, values, np.array([0, len(ordered)]), now)
    assert mean_held(ordered, now) == pytest.approx(theirs)


def test_requests_in_flight_are_counted_told_and_averaged_when_the_policy_says() -> None:
    reports = Reports(replace(LIKE_RAY, look_back_seconds=4.0, metrics_seconds=2.0), step=0.5)
    assert reports.seen(0.0, 0.0, 8.0, 1) == 8.0
    assert [reports.seen(at / 2, 0.0, 0.0, 1) for at in range(1, 4)] == [8.0, 8.0, 8.0]
    told = [reports.seen(at / 2, 0.0, 0.0, 1) for at in range(4, 20)]
    assert 0 < told[0] < 8.0  # the second report: 0 since half a second
    assert told[-1] == 0.0  # nothing of the first is within the look-back any more


def test_the_mean_begins_anew_where_a_replica_more_answers() -> None:
    reports = Reports(replace(LIKE_RAY, look_back_seconds=60.0, metrics_seconds=1.0), step=1.0)
    busy = [reports.seen(float(at), 0.0, 9.0, 1) for at in range(30)]
    assert busy[-1] == pytest.approx(9.0)
    reports.begin()
    assert reports.seen(30.0, 0.0, 1.0, 2) == 1.0


def test_counts_in_flight_are_as_uneven_as_those_of_a_shared_server() -> None:
    reports = Reports(replace(LIKE_RAY, look_back_seconds=0.0, metrics_seconds=1.0), step=1.0)
    counts = [reports.seen(float(at), 1.0, 0.0, 1) for at in range(4000)]
    assert np.mean(counts) == pytest.approx(1.0, rel=0.1)
    assert np.var(counts) == pytest.approx(2.0, rel=0.2)  # geometric: m + m²


def test_a_longer_look_back_a_rarer_report_and_a_longer_delay_each_react_later() -> None:
    at_once = grown(replace(LIKE_RAY, up_seconds=0.0))
    assert 20.0 + ONE.ready_seconds <= at_once <= 20.0 + ONE.ready_seconds + 2.5
    assert grown(replace(LIKE_RAY, up_seconds=6.0)) >= at_once + 5.0
    slow = replace(LIKE_RAY, up_seconds=0.0, target=2.0)
    assert grown(replace(slow, look_back_seconds=30.0)) > grown(slow)
    assert grown(replace(slow, look_back_seconds=15.0, metrics_seconds=10.0)) > grown(slow) + 2.0


def test_a_gain_below_one_goes_part_of_the_way() -> None:
    first = simulate(ONE, STEP, replace(LIKE_RAY, target=0.25, up_gain=1.0)).replicas
    part = simulate(ONE, STEP, replace(LIKE_RAY, target=0.25, up_gain=0.3)).replicas
    assert first[first > 1][0] > part[part > 1][0] > 1


def test_a_policy_with_reports_is_played_the_same_every_time() -> None:
    first, again = (simulate(ONE, STEP, LIKE_RAY) for _ in range(2))
    assert (first.replicas == again.replicas).all()
    assert first.percentile(0.99) == again.percentile(0.99)


def test_replicas_that_share_few_cores_start_later_and_answer_later() -> None:
    many = replace(LIKE_RAY, target=0.5)
    alone, shared = (simulate(ONE, STEP, many, shared=one) for one in (OWN, Shared(2.0)))
    assert grown(many, Shared(2.0)) > grown(many)
    assert shared.percentile(0.99, 20.0) > 1.1 * alone.percentile(0.99, 20.0)
    enough = simulate(ONE, STEP, many, shared=Shared(20.0))
    assert (enough.p99_ms == alone.p99_ms).all()


def test_what_a_start_was_measured_to_do_to_others_it_does_while_one_starts() -> None:
    alone = simulate(ONE, STEP, LIKE_RAY)
    found = simulate(ONE, STEP, LIKE_RAY, shared=Shared(start_p50=1.0, start_p99=3.0))
    asked = grown(LIKE_RAY) - ONE.ready_seconds
    during = (found.seconds > asked) & (found.seconds < asked + ONE.ready_seconds)
    assert found.p99_ms[during] == pytest.approx(3.0 * alone.p99_ms[during])
    before = found.seconds < asked
    assert (found.p99_ms[before] == alone.p99_ms[before]).all()


def test_more_than_the_cores_can_serve_waits_however_many_replicas_there_are() -> None:
    trace = Trace("flat", np.full(60, 300.0), 1.0)
    found = simulate(ONE, trace, Policy(minimum=8, maximum=8), shared=Shared(2.0))
    assert found.answered <= 2.0 * 100.0 * 60 * 1.01  # two cores, a hundredth of one a request
    assert found.failed > 0


def test_percentiles_of_a_run_are_those_of_all_its_answers() -> None:
    one, many = np.ones(1), np.ones(50)
    assert latency.percentile(0.99, 10 * one, 40 * one, 0 * one, one) == pytest.approx(40, rel=0.03)
    assert latency.percentile(0.5, 10 * many, 40 * many, 0 * many, many) == pytest.approx(
        10, rel=0.01
    )
    mixed = latency.percentile(
        0.99, np.array([10.0, 510.0]), np.array([20.0, 520.0]), np.array([0.0, 500.0]),
        np.array([98.0, 2.0]),
    )  # fmt: skip
    assert 505 < mixed < 515  # the median of the late ones
    assert latency.percentile(0.99, one, one, one, 0 * one) == 0.0


def test_the_mean_of_a_skewed_distribution_lies_above_its_median() -> None:
    assert latency.mean_of(10.0, 10.0) == 10.0
    draws = np.exp(np.random.default_rng(0).normal(0, 0.5, 100_000)) * 10
    p50, p99 = np.percentile(draws, [50, 99])
    assert latency.mean_of(float(p50), float(p99)) == pytest.approx(draws.mean(), rel=0.02)


def test_a_load_that_was_slower_than_the_next_by_chance_shares_its_mean() -> None:
    loads = tuple(replace(load, p99_ms=p99) for load, p99 in zip(LOADS, (20, 90, 70), strict=True))
    curve = latency.Curve(replace(ONE, loads=loads), 99)
    assert [curve.at(rate) for rate in (25, 50, 75, 100)] == [20, 80, 80, 80]
