"""Tails of the distributions that signals and quality are judged by, with numpy alone.

A monitor runs beside every service that records: without scipy its image is 143 MB smaller.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

_STEPS = 10_000
_ENOUGH = 1e-15
_TINY = 1e-300


def hypergeometric(
    seen: np.ndarray, drawn: int, marked: np.ndarray, total: int
) -> tuple[np.ndarray, np.ndarray]:
    """[K] P(X <= seen) and [K] P(X >= seen), where X of `drawn` out of `total` are marked.

    Args:
        seen: [K].
        drawn: how many are drawn.
        marked: [K] how many of all are marked.
        total: how many there are.
    """
    logs = _log_factorials(total)

    def ways(things: int, chosen: np.ndarray | int) -> np.ndarray:
        return logs[things] - logs[chosen] - logs[things - chosen]

    below, above = np.zeros(len(seen)), np.zeros(len(seen))
    for place, (count, of) in enumerate(zip(map(int, seen), map(int, marked), strict=True)):
        first = max(0, drawn - (total - of))
        x = np.arange(first, min(of, drawn) + 1)
        p = np.exp(ways(of, x) + ways(total - of, drawn - x) - ways(total, drawn))
        below[place] = p[: max(0, count - first + 1)].sum()
        above[place] = p[max(0, count - first) :].sum()
    return np.minimum(1.0, below), np.minimum(1.0, above)


def binomial_below(seen: int, rows: int, share: float) -> float:
    """P(X <= seen) of so many rows with this share."""
    if share <= 0.0 or seen >= rows:
        return 1.0
    if share >= 1.0:
        return 0.0
    logs, x = _log_factorials(rows), np.arange(seen + 1)
    p = logs[rows] - logs[x] - logs[rows - x] + x * math.log(share)
    return min(1.0, float(np.exp(p + (rows - x) * math.log1p(-share)).sum()))


def chi_squared_above(value: float, freedom: int) -> float:
    """P(X >= value): the upper incomplete gamma function, by its series or its continued fraction."""
    a, z = freedom / 2, value / 2
    if z <= 0.0:
        return 1.0
    front = math.exp(a * math.log(z) - z - math.lgamma(a))
    if z < a + 1:
        term = total = 1 / a
        for step in range(1, _STEPS):
            term *= z / (a + step)
            total += term
            if term < total * _ENOUGH:
                break
        return max(0.0, 1.0 - front * total)
    steps = ((-n * (n - a), z + 2 * n + 1 - a) for n in range(1, _STEPS))
    return front / _fraction(z + 1 - a, steps)


def student_above(value: float, freedom: int) -> float:
    """P(X >= value) of Student's t, by the incomplete beta function."""
    share = freedom / (freedom + value * value)
    beyond = _beta(share, freedom / 2, 0.5) / 2
    return beyond if value >= 0 else 1.0 - beyond


def _beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, where its continued fraction converges fast."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _beta(1.0 - x, b, a)
    logs = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(logs + a * math.log(x) + b * math.log1p(-x)) / a

    def numerator(n: int) -> float:
        m = n // 2
        if n % 2:
            return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))

    return front / _fraction(1.0, ((numerator(n), 1.0) for n in range(1, _STEPS)))


def _fraction(first: float, steps: Iterable[tuple[float, float]]) -> float:
    """first + a1 / (b1 + a2 / (b2 + ...)) of pairs (a, b), by Lentz's method."""
    found = first or _TINY
    c, d = found, 0.0
    for a, b in steps:
        d = 1.0 / ((b + a * d) or _TINY)
        c = (b + a / c) or _TINY
        found *= c * d
        if abs(c * d - 1.0) < _ENOUGH:
            break
    return found


def _log_factorials(most: int) -> np.ndarray:
    """[most + 1]"""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, most + 1)))])
