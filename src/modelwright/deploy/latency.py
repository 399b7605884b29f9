"""How late answers come: by the load of a replica, and over stretches of a simulation.

Between the measured loads the curve is straight. Of a moment the median and the 99th percentile are
known; in between, answers are taken to lie as a lognormal distribution does, after what they waited.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from statistics import NormalDist, mean

import numpy as np

from modelwright.artifacts.capacity import Capacity

_NORMAL = NormalDist()
_Z99 = _NORMAL.inv_cdf(0.99)
_SHARES = (np.arange(400) + 0.5) / 400
"""Evenly spread answers that stand for those of a moment."""
_DEVIATIONS = np.array([_NORMAL.inv_cdf(share) for share in _SHARES])


class Curve:
    """Milliseconds of a percentile by the rate of one replica: straight between the measured loads that
    kept the promise, flat beyond them.

    More load never answers sooner: where a lower load was measured to be slower than the next one, chance
    had a part in both, and their mean stands for both (isotonic regression, Barlow et al. 1972).
    """

    def __init__(self, capacity: Capacity, percentile: int) -> None:
        held = [load for load in capacity.loads if load.rate <= capacity.per_second * 1.0001]
        loads = held or list(capacity.loads[:1])
        self._rates = [load.rate for load in loads]
        self._values = _rising([load.p50_ms if percentile == 50 else load.p99_ms for load in loads])

    def at(self, rate: float) -> float:
        """Milliseconds."""
        place = bisect_right(self._rates, rate)
        if place in (0, len(self._rates)):
            return self._values[0 if place == 0 else -1]
        low, high = self._rates[place - 1], self._rates[place]
        first, second = self._values[place - 1], self._values[place]
        return first + (second - first) * (rate - low) / (high - low)


def in_flight(capacity: Capacity) -> float:
    """Requests that one replica has in flight at its capacity (Little's law)."""
    return max(1.0, capacity.per_second * Curve(capacity, 50).at(capacity.per_second) / 1000)


def mean_of(p50: float, p99: float) -> float:
    """The mean of a lognormal distribution by two of its percentiles."""
    return p50 * math.exp(_spread(p50, p99) ** 2 / 2)


def percentile(
    share: float, p50: np.ndarray, p99: np.ndarray, waits: np.ndarray, weights: np.ndarray
) -> float:
    """Of all answers of many moments.

    Args:
        share: of the answers that came within what is returned.
        p50: [N] medians.
        p99: [N] 99th percentiles.
        waits: [N] what all answers of a moment waited, contained in both.
        weights: [N] answers of a moment.
    """
    if not weights.sum():
        return 0.0
    middle = np.maximum(p50 - waits, 1e-9)
    ratio = np.maximum(p99 - waits, middle) / middle
    spread = np.log(ratio) / _Z99
    answers = (waits[:, None] + middle[:, None] * np.exp(spread[:, None] * _DEVIATIONS)).ravel()
    order = np.argsort(answers)
    passed = np.cumsum(np.repeat(weights, len(_DEVIATIONS))[order])
    return float(answers[order[np.searchsorted(passed, share * passed[-1])]])


def _rising(values: list[float]) -> list[float]:
    """The values nearest to these, by squares, that never fall."""
    pools: list[list[float]] = []
    for value in values:
        pools.append([value])
        while len(pools) > 1 and mean(pools[-2]) > mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    return [mean(pool) for pool in pools for _ in pool]


def _spread(p50: float, p99: float) -> float:
    return math.log(p99 / p50) / _Z99 if p99 > p50 > 0 else 0.0
