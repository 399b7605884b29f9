"""Which points are worth proving, in which order, and which of the proven ones is taken.

Certification rows may be used for one family of claims only. So the order of the tests is fixed
beforehand, from the tuning rows alone, the safest claim first; each is tested at the full level and
the first failure ends the row of tests. The chance that any false claim passes is then at most
alpha, without a correction for their number (fixed-sequence testing: Maurer, Hothorn and Lehmacher
1995; for machine learning Angelopoulos et al. 2021, arXiv 2110.01052).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

from modelwright.compress.points import MEGABYTE, Point
from modelwright.recipe.schema import Compress

ALPHA = 0.05
_NORMAL = NormalDist()
_PRIOR_POINTS, _PRIOR_SPREAD = 0.2, 0.8
"""What a taught or quantized model loses before anything was measured, in points."""
_LEAST_APART = 0.004
_LEAST_CHANCE = 0.03
"""The boldest claim comes last, so that its failure takes nothing from those before it."""
_SAFER_BY = 0.08


def objective(point: Point, compress: Compress) -> float:
    """What is minimised, of a point."""
    if compress.minimize == "memory" and point.memory_mb is not None:
        return point.memory_mb
    return figure(point.latency, point.bytes, compress)


def figure(latency: Mapping[str, float], size: int, compress: Compress) -> float:
    """Milliseconds or bytes; cost is milliseconds of the whole machine a row.

    Memory goes with the bytes until it is measured, which takes a process of its own.
    """
    if compress.minimize in ("size", "memory"):
        return float(size)
    if compress.minimize == "cost":
        return 1000.0 / max(latency["per_second"], 1e-9)
    return latency["p50_ms"]


def reached(point: Point, limit: str) -> float | None:
    """What a point has of a limited quantity."""
    if limit == "size_mb":
        return point.bytes / MEGABYTE
    if limit == "memory_mb":
        return point.memory_mb
    return point.latency.get(limit)


def limits_of(compress: Compress) -> dict[str, float]:
    """The limits that a recipe sets."""
    return {
        name: value for name, value in compress.limits.model_dump().items() if value is not None
    }


def meets(point: Point, compress: Compress) -> bool:
    """Whether a point lies inside every measured limit (the drop is another matter)."""
    found = {name: reached(point, name) for name in limits_of(compress)}
    wanted = limits_of(compress)
    return all(value is not None and value <= wanted[name] for name, value in found.items())


def chance(seen: Mapping[str, float], rows: int, max_drop: float) -> float:
    """Chance that the certification will show a drop of at most `max_drop` points.

    From the tuning rows: the drop seen there, drawn towards a prior, and the share of rows that
    tell the two models apart, which decides how far a drop can be seen.

    Args:
        seen: `drop_points`, `apart` and `rows` of the tuning rows, as a point has them.
        rows: certification rows.
        max_drop: in points.
    """
    tuned = seen["rows"]
    apart = max(seen["apart"], _LEAST_APART)
    noise = 100 * math.sqrt(apart / tuned)
    weight = _PRIOR_SPREAD**2 / (_PRIOR_SPREAD**2 + noise**2)
    drop = weight * seen["drop_points"] + (1 - weight) * _PRIOR_POINTS
    left = noise * math.sqrt(weight)
    ahead = 100 * math.sqrt(apart / max(1, rows))
    room = max_drop - _NORMAL.inv_cdf(1 - ALPHA) * ahead - drop
    return _NORMAL.cdf(room / math.hypot(ahead, left))


def sequence(points: Sequence[Point], compress: Compress, rows: int) -> list[Point]:
    """The points to be proven, safest first.

    From the best objective on, a point is taken when it is clearly safer than all better ones;
    points outside the limits are left out unless all are.
    """
    inside = [point for point in points if meets(point, compress)] or list(points)
    taken: list[tuple[float, Point]] = []
    safest = 0.0
    for point in sorted(inside, key=lambda one: objective(one, compress)):
        likely = chance(point.tuning, rows, compress.max_drop)
        if likely >= max(_LEAST_CHANCE, safest + (_SAFER_BY if taken else 0.0)):
            taken.append((likely, point))
            safest = likely
    if not taken and inside:
        best = max(inside, key=lambda one: chance(one.tuning, rows, compress.max_drop))
        return [best]
    return [point for _, point in reversed(taken)]


def mark_pareto(points: Sequence[Point]) -> None:
    """Set `pareto` on points that no other beats in quality, latency and size at once."""
    for point in points:
        point.pareto = not any(_beats(other, point) for other in points if other is not point)


def _beats(first: Point, second: Point) -> bool:
    one, two = _figures(first), _figures(second)
    return all(a <= b for a, b in zip(one, two, strict=True)) and one != two


def _figures(point: Point) -> tuple[float, float, float]:
    return -point.tuning["value"], point.latency["p50_ms"], float(point.bytes)
