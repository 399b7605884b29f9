"""The answer when no model lies inside the limits: what is nearest, what binds, what would help.

`infeasible` works on measured points as compression.json has them; it never comes back empty. A
drop counts as met only where the test on the certification rows passed: one that was merely seen on
the tuning rows is told as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelwright.errors import GateError

MEGABYTE = 1e6
DROP = "max_drop"
_UNITS = {"p50_ms": "ms", "p95_ms": "ms", "size_mb": "MB", "memory_mb": "MiB", DROP: "points"}
_LEAST_DROP = 0.1
"""Points that a passed drop is measured against where none at all is allowed."""
_UNKNOWN = 1e9
"""How far a limit is passed whose quantity could not be measured."""
_UNPROVEN = 1e-6
"""By how much a drop is passed that was seen, but not shown."""


def infeasible(points: Sequence[Mapping[str, Any]], request: Mapping[str, Any]) -> dict[str, Any]:
    """What to tell a user whose limits no point meets.

    Args:
        points: measured; at least one.
        request: `limits` and `max_drop` of the recipe.

    Returns:
        `binding`, `limit`, `nearest`, `reached` (None where it could not be measured), `proven`
        (of the nearest point's drop), `sentence`, `relax`: changes of which each lets a point in,
        `{"limit", "to", "also", "buys", "proven"}`; `also` holds further limits where no change of
        one alone is enough.
    """
    limits = limits_of(request)
    nearest = min(points, key=lambda point: _distance(point, limits))
    passed = excess(nearest, limits)
    binding = max(passed, key=lambda name: passed[name])
    reached = quantity(nearest, binding)
    answer: dict[str, Any] = {
        "binding": binding,
        "limit": limits[binding],
        "nearest": nearest["id"],
        "reached": None if reached is None else round(reached, 4),
        "proven": shown(nearest),
    }
    answer["sentence"] = sentence(answer, nearest["label"], limits)
    answer["relax"] = _relaxations(points, limits) or _together(points, limits)
    return answer


def sentence(answer: Mapping[str, Any], label: str, limits: Mapping[str, float]) -> str:
    """The answer in words: the limits, the nearest point, and what it has of the one that binds."""
    name, reached, limit = answer["binding"], answer["reached"], answer["limit"]
    start = f"no model within {_listed(limits)} was found; the nearest, {label}, "
    if reached is None:
        return f"{start}could not be measured for {name}, {_shown(name, limit)} asked"
    if name == DROP and not answer["proven"]:
        return (
            f"{start}loses {_shown(name, reached)} on the tuning rows, but a drop of at most "
            f"{_shown(name, limit)} was not shown on the certification rows"
        )
    if name == DROP and reached <= limit:
        return (
            f"{start}loses at most {_shown(name, reached)} by a test that came after the first "
            "failure and so proves nothing"
        )
    if name == DROP:
        return f"{start}is shown to lose at most {_shown(name, reached)}, {limit:.3g} asked"
    return f"{start}has {name} {_shown(name, reached)}, {_over(reached, limit)}"


def gate_error(told: Mapping[str, Any]) -> GateError:
    """The error of a run whose compression found nothing inside the limits (MW-503)."""
    answer = told["infeasible"]
    ways = [f"{_setting(each)} for {each['buys']}" for each in answer["relax"]]
    if answer["binding"] == DROP:
        ways.append("more validation rows, which show smaller drops")
    ways.append("a longer search with compress.budget.minutes")
    return GateError(
        "MW-503",
        answer["sentence"],
        expected=f"{answer['binding']} at most {answer['limit']:g}"
        + (", proven at 95% confidence" if answer["binding"] == DROP else ""),
        fix="; or ".join(ways),
    )


def limits_of(request: Mapping[str, Any]) -> dict[str, float]:
    """The limits that a request sets, the allowed drop the last."""
    limits = {name: float(one) for name, one in request["limits"].items() if one is not None}
    return limits | {DROP: float(request[DROP])}


def shown(point: Mapping[str, Any]) -> bool:
    """Whether a bound of the point's drop was found on the certification rows."""
    return point.get("certified") is not None


def quantity(point: Mapping[str, Any], limit: str) -> float | None:
    """What a point has of a limited quantity; of the drop its bound, or what was seen."""
    if limit == DROP:
        test = point.get("certified")
        return float(test["bound_points"] if test else point["tuning"]["drop_points"])
    if limit == "size_mb":
        return point["bytes"] / MEGABYTE
    if limit == "memory_mb":
        return point.get("memory_mb")
    return float(point["latency"][limit])


def excess(point: Mapping[str, Any], limits: Mapping[str, float]) -> dict[str, float]:
    """By how much of itself each limit is passed; 0 or less where it is met."""
    found: dict[str, float] = {}
    for name, limit in limits.items():
        value = quantity(point, name)
        scale = max(limit, _LEAST_DROP) if name == DROP else max(limit, 1e-9)
        found[name] = _UNKNOWN if value is None else (value - limit) / scale
    test = point.get("certified")
    if test is None or not test["passed"]:
        found[DROP] = max(found[DROP], _UNPROVEN)
    return found


def _distance(point: Mapping[str, Any], limits: Mapping[str, float]) -> tuple[float, float]:
    """The largest excess; between points as near as each other, the drop."""
    return max(excess(point, limits).values()), quantity(point, DROP) or 0.0


def _relaxations(
    points: Sequence[Mapping[str, Any]], limits: Mapping[str, float]
) -> list[dict[str, Any]]:
    """For each limit the least change of it alone that lets some point in.

    A point whose drop was shown is taken before one whose drop was only seen.
    """
    found: list[dict[str, Any]] = []
    for name, limit in limits.items():
        able = [point for point in points if _meets_others(point, name, limits)]
        able = [point for point in able if shown(point)] or able
        values = {point["id"]: quantity(point, name) for point in able}
        over = [(v, p) for p in able if (v := values[p["id"]]) is not None and v > limit]
        if over:
            value, point = min(over, key=lambda pair: pair[0])
            found.append(_change({name: value}, point))
    return found


def _meets_others(point: Mapping[str, Any], relaxed: str, limits: Mapping[str, float]) -> bool:
    """Whether all limits but one are met; a drop that was only seen may be within its own."""
    return all(
        value is not None and value <= limit
        for name, limit in limits.items()
        if name != relaxed
        for value in (quantity(point, name),)
    )


def _together(
    points: Sequence[Mapping[str, Any]], limits: Mapping[str, float]
) -> list[dict[str, Any]]:
    """All limits that the nearest wholly measured point passes, changed at once."""
    known = [one for one in points if all(quantity(one, name) is not None for name in limits)]
    if not known:
        return []
    nearest = min(known, key=lambda point: _distance(point, limits))
    values = {name: quantity(nearest, name) or 0.0 for name in limits}
    passed = {name: value for name, value in values.items() if value > limits[name]}
    return [_change(passed, nearest)] if passed else []


def _change(values: Mapping[str, float], point: Mapping[str, Any]) -> dict[str, Any]:
    (name, first), *others = ((name, _above(value)) for name, value in values.items())
    return {
        "limit": name,
        "to": first,
        "also": dict(others),
        "buys": point["label"],
        "proven": shown(point),
    }


def _above(value: float) -> float:
    """A little more than the value, in three digits, so that the point fits."""
    return float(f"{value * 1.005 + 1e-9:.3g}") if value > 0 else 0.0


def _setting(each: Mapping[str, Any]) -> str:
    """The recipe's keys that a change sets."""
    changed = {each["limit"]: each["to"], **each["also"]}
    written = " and ".join(
        f"compress.{'' if name == DROP else 'limits.'}{name}={value:g}"
        for name, value in changed.items()
    )
    return written if each["proven"] else f"{written} (its drop is seen, not shown yet)"


def _over(reached: float, limit: float) -> str:
    times = reached / limit
    many = f"{float(f'{times:.2g}'):,.10g}"  # 1,600 rather than 1.6e+03
    by = f"{many} times" if times >= 2 else f"{100 * (times - 1):.2g}% over"
    return f"{by} the {limit:.3g} asked"


def _listed(limits: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {_shown(name, value)}" for name, value in limits.items())


def _shown(name: str, value: float) -> str:
    return f"{value:.3g} {_UNITS[name]}"
