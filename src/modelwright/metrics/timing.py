"""How long does a call take? Pure of machine learning, so that every stage measures alike.

A mean hides what a user waits for, so percentiles are reported; the first calls, which fill caches
and compile, are left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypedDict

_WARM_UP_CALLS = 3
_WARM_UP_SHARE = 0.25


class Timing(TypedDict):
    """Percentiles of one call in milliseconds, calls a second, and how many calls were timed."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    per_second: float
    runs: int


def measure(call: Callable[[], object], *, seconds: float, minimum: int = 10) -> Timing:
    """Time `call` again and again for `seconds`, but at least `minimum` times.

    Up to three calls come before, untimed, for at most a quarter of `seconds` (one always does).
    With fewer than some 100 runs p99 is close to the slowest call.

    Raises:
        ValueError: seconds below 0 or minimum below 1.
    """
    if seconds < 0 or minimum < 1:
        raise ValueError(f"seconds must be at least 0 and minimum 1, got {seconds} and {minimum}")
    _warm_up(call, seconds)
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < minimum or time.perf_counter() - started < seconds:
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    return summary(times)


def summary(times: list[float]) -> Timing:
    """Percentiles (linear between neighbours) and rate of call times in seconds."""
    ordered = sorted(times)
    return {
        "p50_ms": 1000 * _percentile(ordered, 0.50),
        "p95_ms": 1000 * _percentile(ordered, 0.95),
        "p99_ms": 1000 * _percentile(ordered, 0.99),
        "per_second": len(ordered) / max(sum(ordered), 1e-12),
        "runs": len(ordered),
    }


def _warm_up(call: Callable[[], object], seconds: float) -> None:
    started = time.perf_counter()
    for _ in range(_WARM_UP_CALLS):
        call()
        if time.perf_counter() - started > seconds * _WARM_UP_SHARE:
            return


def _percentile(ordered: list[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
