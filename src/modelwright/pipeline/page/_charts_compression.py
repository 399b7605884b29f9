"""The front of a compression: quality against latency, size as area."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from modelwright.pipeline.page import _words
from modelwright.pipeline.page._svg import (
    Scale,
    chart,
    gridline,
    polyline,
    stretched,
    tag,
    tick_text,
    title,
)

HEIGHT, TOP, BOTTOM = 340, 16, 300
LARGEST = 22
"""Radius in pixels of the largest form."""


def front(told: Mapping[str, Any]) -> Markup:
    """Every measured point, the uncompressed model, the front between them, and the limits."""
    points: list[Mapping[str, Any]] = list(told["points"])
    everything = [told["baseline"], *points]
    x, y = _across(everything, told), _down(everything, told)
    most = max(point["bytes"] for point in everything)
    parts = [gridline(y, value, 4, _words.tick(told["main"], value)) for value in y.ticks(5)]
    parts += [*_ticks(x, axis(told)), *_limits(told, x, y), _line(points, x, y, axis(told))]
    for point in sorted(everything, key=lambda one: -one["bytes"]):
        radius = max(4.0, LARGEST * math.sqrt(point["bytes"] / most))
        parts.append(_dot((x, y), point, _css(point, told), radius, told))
    return chart(
        HEIGHT, parts, css="front", role="group",
        label="quality, latency and size of every model that was measured",
    )  # fmt: skip


def axis(told: Mapping[str, Any]) -> str:
    """The latency that is drawn: the one that is limited, so that its limit can be a line."""
    limits = told["request"]["limits"]
    limited = [name for name in ("p50_ms", "p95_ms") if limits.get(name) is not None]
    return limited[0] if limited else "p50_ms"


def _css(point: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    if "id" not in point:
        return "dot whole"
    css = "dot chosen" if point["id"] == told["chosen"] else "dot"
    return css if _proven(point) else f"{css} unproven"


def _proven(point: Mapping[str, Any]) -> bool:
    return bool((point.get("certified") or {}).get("passed"))


class _Log(Scale):
    """A scale of powers."""

    def at(self, value: float) -> float:
        low, high = math.log(self.low), math.log(self.high)
        share = (math.log(max(value, self.low)) - low) / max(high - low, 1e-9)
        return self.start + min(share, 1.0) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        steps = [m * 10.0**p for p in range(first, last + 1) for m in (1, 2, 5)]
        return [value for value in steps if self.low <= value <= self.high]


def _across(everything: Sequence[Mapping[str, Any]], told: Mapping[str, Any]) -> Scale:
    """Milliseconds; in powers, since forms differ by factors. The limit is inside."""
    values = [point["latency"][axis(told)] for point in everything]
    limit = told["request"]["limits"].get(axis(told))
    values += [limit] if limit else []
    return _Log(0.8 * min(values), 1.25 * max(values), 6, 97)


def _down(everything: Sequence[Mapping[str, Any]], told: Mapping[str, Any]) -> Scale:
    """Quality, the limit inside; what lies far below it is drawn at the lower edge."""
    values = [point["tuning"]["value"] for point in everything]
    top, lowest = max(values), _lowest(told)
    drop = max(5 * told["request"]["max_drop"], 2.0) / 100
    low = min(max(min(values), top - 2 * drop), lowest)
    room = max(0.08 * (top - low), 0.002)
    return Scale(low - room, top + room, BOTTOM, TOP)


def _lowest(told: Mapping[str, Any]) -> float:
    """The lowest quality that is allowed, on the tuning rows."""
    return told["baseline"]["tuning"]["value"] - told["request"]["max_drop"] / 100


def _ticks(x: Scale, name: str) -> list[Markup]:
    marks = [tick_text(x, value, f"{value:g}", BOTTOM + 20) for value in x.ticks()]
    return [*marks, _words.chart_text(f"small.axis.{name}", "97%", BOTTOM + 37, "tick", "end")]


def _limits(told: Mapping[str, Any], x: Scale, y: Scale) -> list[Markup]:
    """The lowest quality allowed, and the latency limit."""
    height = round(y.at(_lowest(told)), 1)
    parts = [
        tag("line", x1="0", x2="100%", y1=height, y2=height, class_="limit"),
        tag("text", f"max_drop {told['request']['max_drop']:g}", x=2, y=height + 13,
            class_="tick limit-text"),
    ]  # fmt: skip
    if limit := told["request"]["limits"].get(axis(told)):
        at = x.percent(limit)
        parts.append(tag("line", x1=at, x2=at, y1=TOP, y2=BOTTOM, class_="limit"))
        parts.append(
            tag("text", f"≤ {limit:g} ms", x=at, y=BOTTOM - 6, dx=-5,
                class_="tick limit-text", text_anchor="end")
            if x.at(limit) > 50
            else tag("text", f"≤ {limit:g} ms", x=at, y=BOTTOM - 6, dx=5,
                     class_="tick limit-text")
        )  # fmt: skip
    return parts


def _line(points: Sequence[Mapping[str, Any]], x: Scale, y: Scale, name: str) -> Markup:
    """Along the points that no other beats in latency and quality."""
    best, path = -math.inf, []
    for point in sorted(points, key=lambda one: (one["latency"][name], -one["tuning"]["value"])):
        if point["tuning"]["value"] > best:
            best = point["tuning"]["value"]
            path.append((x.at(point["latency"][name]), y.at(best)))
    return stretched(HEIGHT, [polyline(path, "front-line")])


def _dot(
    scales: tuple[Scale, Scale], point: Mapping[str, Any], css: str, radius: float,
    told: Mapping[str, Any],
) -> Markup:  # fmt: skip
    """A circle that tells its figures when it is pointed at, tapped or reached by keyboard."""
    x, y = scales
    latency, value = point["latency"][axis(told)], point["tuning"]["value"]
    english, chinese = (facts(point, told, language) for language in _words.LANGUAGES)
    return tag(
        "circle",
        title(english),
        cx=x.percent(latency),
        cy=round(y.at(value), 1),
        r=round(radius, 1),
        class_=css,
        tabindex=0,
        role="button",
        data_tip_en=english,
        data_tip_zh=chinese,
        aria_label=english,
    )


def facts(point: Mapping[str, Any], told: Mapping[str, Any], language: str) -> str:
    """A point in one line, in one language; escaped where it is written."""
    test = point.get("certified")
    parts = [
        str(point["label"]),
        f"{_words.milliseconds(point['latency']['p50_ms'])} / "
        f"{_words.milliseconds(point['latency']['p95_ms'])} ms (p50 / p95)",
        f"{point['bytes'] / 1e6:.1f} MB",
        _words.figure(told["main"], point["tuning"]["value"]),
    ]
    if "id" in point:
        key = "untested" if not test else "proven" if test["passed"] else "failed"
        bound = f"{test['bound_points']:.2f}" if test else ""
        parts.append(str(_words.plain(f"small.tip.{key}", language, bound=bound)))
    return " · ".join(parts)
