"""The answer when no model lies inside the limits: what is nearest, what binds, what would help.

`infeasible` works on measured points as compression.json has them; it never comes back empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelwright.errors import GateError

MEGABYTE = 1e6
_UNITS = {"p50_ms": "ms", "p95_ms": "ms", "size_mb": "MB", "memory_mb": "MiB", "max_drop": "points"}


def infeasible(points: Sequence[Mapping[str, Any]], request: Mapping[str, Any]) -> dict[str, Any]:
    """What to tell a user whose limits no point meets.

    Args:
        points: measured; at least one.
        request: `limits` and `max_drop` of the recipe.

    Returns:
        `binding`, `limit`, `nearest`, `reached`, `sentence`, `relax`.
    """
    limits = {name: value for name, value in request["limits"].items() if value is not None}
    limits["max_drop"] = request["max_drop"]
    nearest = min(points, key=lambda point: max(_excess(point, limits).values()))
    excess = _excess(nearest, limits)
    binding = max(excess, key=lambda name: excess[name])
    reached = _has(nearest, binding)
    return {
        "binding": binding,
        "limit": limits[binding],
        "nearest": nearest["id"],
        "reached": round(reached, 4),
        "sentence": (
            f"no model within {_listed(limits)} was found; the nearest, {nearest['label']}, "
            f"reaches {_shown(binding, reached)} of {binding}, {_shown(binding, limits[binding])} "
            "asked"
        ),
        "relax": _relaxations(points, limits),
    }


def gate_error(told: Mapping[str, Any]) -> GateError:
    """The error of a run whose compression found nothing inside the limits (MW-503)."""
    answer = told["infeasible"]
    helps = "; or ".join(
        f"compress.{'' if each['limit'] == 'max_drop' else 'limits.'}{each['limit']}="
        f"{each['to']:g} for {each['buys']}"
        for each in answer["relax"]
    )
    return GateError(
        "MW-503",
        answer["sentence"],
        expected=f"{answer['binding']} at most {answer['limit']:g}, proven at 95% confidence",
        fix=f"{helps}; or a longer search with compress.budget.minutes",
    )


def _has(point: Mapping[str, Any], limit: str) -> float:
    """What a point has of a limited quantity; a proven drop where there is a test, else the seen."""
    if limit == "max_drop":
        test = point.get("certified")
        return float(test["bound_points"] if test else point["tuning"]["drop_points"])
    if limit == "size_mb":
        return point["bytes"] / MEGABYTE
    if limit == "memory_mb":
        return float(point["memory_mb"] or 0.0)
    return float(point["latency"][limit])


def _excess(point: Mapping[str, Any], limits: Mapping[str, float]) -> dict[str, float]:
    """By how much of itself each limit is passed; 0 or less where it is met."""
    found = {name: (_has(point, name) - limit) / max(limit, 0.1) for name, limit in limits.items()}
    test = point.get("certified")
    if test is None or not test["passed"]:  # a drop that was not shown is not met
        found["max_drop"] = max(found["max_drop"], 1e-6)
    return found


def _relaxations(
    points: Sequence[Mapping[str, Any]], limits: Mapping[str, float]
) -> list[dict[str, Any]]:
    """For each limit the least change of it alone that lets some point in."""
    found = []
    for name, limit in limits.items():
        others = [other for other in limits if other != name]
        able = [
            point for point in points if all(_excess(point, limits)[other] <= 0 for other in others)
        ]
        if not able:
            continue
        best = min(able, key=lambda point: _has(point, name))
        if (value := _has(best, name)) > limit:
            found.append({"limit": name, "to": _above(value), "buys": best["label"]})
    return found


def _above(value: float) -> float:
    """A little more than the value, in three digits, so that the point fits."""
    return float(f"{value * 1.005 + 1e-9:.3g}") if value > 0 else 0.0


def _listed(limits: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {_shown(name, value)}" for name, value in limits.items())


def _shown(name: str, value: float) -> str:
    return f"{value:.3g} {_UNITS[name]}"
