"""From what one replica was measured to do to what a place to run is told, and why.

Every number has a sentence of arithmetic, which targets write as a comment beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from modelwright.artifacts.capacity import Capacity, Load
from modelwright.deploy.policy import Policy
from modelwright.deploy.yamltext import one_line

HEADROOM = 0.8
"""Share of what a replica can do at which more replicas are wanted: time to start them."""
WAITING_MB = 244
"""Requests and images that a service takes on before it refuses, 256,000,000 bytes."""
DRAIN_SECONDS = 30
"""That running requests may take after SIGTERM."""
UNROUTE_SECONDS = 5
"""Between leaving the service's endpoints and SIGTERM: until every proxy has heard of it."""


@final
@dataclass(frozen=True)
class Figure:
    """A number that was worked out.

    Attributes:
        value: of it.
        why: the arithmetic, in a sentence.
    """

    value: int
    why: str


@final
@dataclass(frozen=True)
class Sizing:
    """What a place to run is told.

    Attributes:
        head: lines about the measurement that all comes from.
        millicores: processor time to reserve, thousandths of a core.
        cores: processor time at most, whole cores.
        reserved_mb: memory to reserve.
        most_mb: memory at which the process is ended.
        least: replicas, at least.
        most: replicas, at most.
        none_least: replicas, at least, where the place can start the first on demand.
        in_flight: requests in flight a replica, beyond which more replicas are wanted.
        cpu_percent: share of the reserved processor time beyond which more are wanted.
        per_minute: requests a minute and replica, beyond which more are wanted.
        start_seconds: that a start may take before it counts as failed.
        stop_seconds: from the order to stop until the process is killed.
    """

    head: str
    millicores: Figure
    cores: Figure
    reserved_mb: Figure
    most_mb: Figure
    least: Figure
    most: Figure
    none_least: Figure
    in_flight: Figure
    cpu_percent: Figure
    per_minute: Figure
    start_seconds: Figure
    stop_seconds: Figure


def size(capacity: Capacity, policy: Policy) -> Sizing:
    """All numbers of a deployment."""
    best = _at_best(capacity)
    used, memory, rate = best.cpu, capacity.memory_mb, capacity.per_second
    millicores = min(1000 * capacity.cores, max(100, _up(1000 * used, 100)))
    reserved = _up(1.1 * memory, 64)
    percent = max(1, min(95, math.floor(HEADROOM * 100 * 1000 * used / millicores)))
    least = max(2, policy.minimum)
    most = max(least, policy.maximum)
    start = _up(30 + 3 * capacity.ready_seconds, 5)
    return Sizing(
        head=_head(capacity),
        millicores=Figure(
            millicores, f"{used:.2f} cores were in use at {rate:,.1f} requests/s, rounded up"
        ),
        cores=Figure(capacity.cores, f"measured on {capacity.cores} cores; more was not tried"),
        reserved_mb=Figure(reserved, f"1.1 x {memory:,.0f} MiB measured under load, rounded up"),
        most_mb=Figure(
            _up(1.25 * memory + WAITING_MB, 64),
            f"1.25 x {memory:,.0f} MiB measured + {WAITING_MB} MiB of waiting requests, rounded up",
        ),
        least=Figure(
            least, f"the policy says {policy.minimum}; 2 so that one can go without an outage"
        ),
        most=Figure(
            most, f"{most} x {rate:,.1f} = {most * rate:,.0f} requests/s within the promise"
        ),
        none_least=Figure(
            policy.minimum, f"the policy says {policy.minimum}; 0 costs nothing and starts late"
        ),
        in_flight=Figure(
            max(1, math.floor(policy.target)),
            f"the policy's requests in flight a replica; at {rate:,.1f} requests/s and "
            f"{best.p50_ms:,.1f} ms (median) {rate * best.p50_ms / 1000:,.1f} are on their way",
        ),
        cpu_percent=Figure(
            percent,
            f"{HEADROOM:g} x {used:.2f} cores in use at {rate:,.1f} requests/s / "
            f"{millicores / 1000:g} reserved",
        ),
        per_minute=Figure(
            max(1, math.floor(HEADROOM * 60 * rate)),
            f"{HEADROOM:g} x 60 s x {rate:,.1f} requests/s",
        ),
        start_seconds=Figure(start, f"30 s + 3 x {capacity.ready_seconds:.1f} s measured"),
        stop_seconds=Figure(
            DRAIN_SECONDS + UNROUTE_SECONDS + 10,
            f"{UNROUTE_SECONDS} s until nobody asks + {DRAIN_SECONDS} s for running requests + 10",
        ),
    )


def _head(capacity: Capacity) -> str:
    return (
        f"Measured: {capacity.variant} of {capacity.bundle} {capacity.version}, one replica on "
        f"{capacity.cores} cores\n({one_line(capacity.machine)}):\n"
        f"{capacity.per_second:,.1f} requests/s with the 99th percentile within "
        f"{capacity.slo_p99_ms:g} ms. Every number below comes from that."
    )


def _at_best(capacity: Capacity) -> Load:
    """The step whose rate is the capacity; the nearest one in a file that was edited."""
    return min(capacity.loads, key=lambda load: abs(load.rate - capacity.per_second))


def _up(value: float, step: int) -> int:
    return step * max(1, math.ceil(value / step - 1e-9))
