"""Requests, limits, replicas and scaling targets follow from the measurement, and say how."""

from __future__ import annotations

from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from modelwright.artifacts.capacity import Capacity, Load
from modelwright.deploy.policy import Policy
from modelwright.deploy.sizing import Figure, Sizing, size

ONE = Capacity(
    bundle="a", version="v", variant="onnx-int8", machine="m", cores=2, slo_p99_ms=50.0,
    per_second=200.0, memory_mb=300.0, ready_seconds=2.5,
    loads=(Load(100, 1.0, 5, 20, 0, 0.9), Load(200, 1.0, 9, 45, 1, 1.72), Load(250, 0.9, 80, 300, 9, 2)),
)  # fmt: skip


def test_the_arithmetic() -> None:
    found = size(ONE, Policy(minimum=1, maximum=12, target=8.0))
    assert found.millicores.value == 1800  # 1.72 cores, up to the next tenth
    assert found.cores.value == 2
    assert found.reserved_mb.value == 384  # 1.1 x 300 = 330
    assert found.most_mb.value == 640  # 1.25 x 300 + 244 = 619
    assert found.cpu_percent.value == 76  # 0.8 x 1.72 / 1.8
    assert found.per_minute.value == 9600  # 0.8 x 60 x 200
    assert found.in_flight.value == 8
    assert (found.none_least.value, found.least.value, found.most.value) == (1, 2, 12)
    assert found.start_seconds.value == 40  # 30 + 3 x 2.5 = 37.5
    assert "12 x 200.0 = 2,400 requests/s" in found.most.why
    assert "1.72 cores were in use at 200.0 requests/s" in found.millicores.why


def test_more_than_was_measured_on_is_never_reserved() -> None:
    loads = (replace(ONE.loads[1], cpu=2.6),)
    found = size(replace(ONE, loads=loads), Policy())
    assert found.millicores.value == 2000
    assert found.cpu_percent.value == 95


numbers = st.floats(0.001, 10_000, allow_nan=False)


@given(numbers, numbers, st.integers(1, 64), st.integers(0, 50), st.integers(1, 50), numbers)
def test_what_any_measurement_gives_can_be_asked_of_a_cluster(
    rate: float, memory: float, cores: int, least: int, most: int, used: float
) -> None:
    capacity = replace(
        ONE, per_second=rate, memory_mb=memory, cores=cores,
        loads=(Load(rate, 1.0, 1, 2, 0, used),),
    )  # fmt: skip
    found = size(capacity, Policy(minimum=min(least, most), maximum=most, target=0.3))
    assert 100 <= found.millicores.value <= 1000 * cores
    assert 64 <= found.reserved_mb.value <= found.most_mb.value
    assert 2 <= found.least.value <= found.most.value
    assert 1 <= found.cpu_percent.value <= 95
    assert found.in_flight.value >= 1
    assert found.per_minute.value >= 1
    figures = [getattr(found, field.name) for field in fields(Sizing)]
    assert all(figure.why for figure in figures if isinstance(figure, Figure))
