"""Timing a call: what is counted, and what is not."""

from __future__ import annotations

import time

import pytest

from modelwright.metrics.timing import measure, summary


def test_percentiles_are_those_of_numpy() -> None:
    np = pytest.importorskip("numpy")
    times = [0.004, 0.001, 0.003, 0.002, 0.050]
    found = summary(times)
    for share in (50, 95, 99):
        assert found[f"p{share}_ms"] == pytest.approx(1000 * np.percentile(times, share))
    assert found["runs"] == 5
    assert found["per_second"] == pytest.approx(5 / 0.06)


def test_the_first_calls_are_not_counted() -> None:
    calls: list[float] = []

    def call() -> None:
        calls.append(time.perf_counter())
        if len(calls) == 1:
            time.sleep(0.05)

    found = measure(call, seconds=0, minimum=4)
    assert found["runs"] == 4
    assert len(calls) == 5


def test_it_measures_for_about_the_time_given() -> None:
    started = time.perf_counter()
    found = measure(lambda: time.sleep(0.001), seconds=0.1, minimum=1)
    assert 0.1 <= time.perf_counter() - started < 1
    assert found["runs"] > 10


def test_a_slow_call_is_still_measured_the_least_number_of_times() -> None:
    assert measure(lambda: time.sleep(0.01), seconds=0.001, minimum=3)["runs"] == 3


@pytest.mark.parametrize(("seconds", "minimum"), [(-1, 1), (1, 0)])
def test_senseless_settings_are_refused(seconds: float, minimum: int) -> None:
    with pytest.raises(ValueError, match="seconds must be"):
        measure(lambda: None, seconds=seconds, minimum=minimum)
