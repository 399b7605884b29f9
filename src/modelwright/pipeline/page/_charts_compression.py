"""The front of a compression: quality against latency, size as area."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    before = told["baseline"]
    x, y = _across(points, before), _down(points, before, told)
    most = max(before["bytes"], *(point["bytes"] for point in points))
    parts = [gridline(y, value, 4, _words.figure(told["main"], value)) for value in y.ticks(5)]
    parts += _ticks(x)
    parts += _limits(told, x, y)
    parts.append(_line(points, x, y))
    place = _Place(x, y, most)
    parts.append(_dot(place, "dot whole", before["tuning"]["value"], before))
    for point in sorted(points, key=lambda one: -one["bytes"]):
        css = "dot chosen" if point["id"] == told["chosen"] else "dot"
        css += "" if (point.get("certified") or {}).get("passed") else " unproven"
        parts.append(_dot(place, css, point["tuning"]["value"], point))
    return chart(HEIGHT, parts, css="front", label="quality, latency and size of every model tried")


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


def _across(points: Sequence[Mapping[str, Any]], before: Mapping[str, Any]) -> Scale:
    """Milliseconds; in powers, since forms differ by factors."""
    values = [before["latency"]["p50_ms"], *(point["latency"]["p50_ms"] for point in points)]
    return _Log(0.8 * min(values), 1.25 * max(values), 6, 97)


def _down(
    points: Sequence[Mapping[str, Any]], before: Mapping[str, Any], told: Mapping[str, Any]
) -> Scale:
    """Quality; what lies far below the limit is drawn at the lower edge."""
    top = max(before["tuning"]["value"], *(point["tuning"]["value"] for point in points))
    drop = max(5 * told["request"]["max_drop"], 2.0) / 100
    low = max(min(point["tuning"]["value"] for point in points), top - 2 * drop)
    room = max(0.08 * (top - low), 0.002)
    return Scale(low - room, top + room, BOTTOM, TOP)


def _ticks(x: Scale) -> list[Markup]:
    axis = [tick_text(x, value, f"{value:g}", BOTTOM + 20) for value in x.ticks()]
    return [*axis, tag("text", "ms", x="100%", y=BOTTOM + 36, class_="tick", text_anchor="end")]


def _limits(told: Mapping[str, Any], x: Scale, y: Scale) -> list[Markup]:
    """The lowest quality allowed, and the latency limit."""
    lowest = told["baseline"]["tuning"]["value"] - told["request"]["max_drop"] / 100
    height = round(y.at(lowest), 1)
    parts = [tag("line", x1="6%", x2="97%", y1=height, y2=height, class_="limit")]
    for name in ("p50_ms", "p95_ms"):
        limit = told["request"]["limits"].get(name)
        if limit is not None:
            at = x.percent(limit)
            parts.append(tag("line", x1=at, x2=at, y1=TOP, y2=BOTTOM, class_="limit"))
    return parts


def _line(points: Sequence[Mapping[str, Any]], x: Scale, y: Scale) -> Markup:
    """Steps along the points that no other beats in latency and quality."""
    best, path = -1.0, []
    for point in sorted(
        points, key=lambda one: (one["latency"]["p50_ms"], -one["tuning"]["value"])
    ):
        if point["tuning"]["value"] > best:
            best = point["tuning"]["value"]
            path.append((x.at(point["latency"]["p50_ms"]), y.at(best)))
    return stretched(HEIGHT, [polyline(path, "front-line")])


@dataclass(frozen=True)
class _Place:
    """Where points lie, and how large the largest form is."""

    x: Scale
    y: Scale
    most: int


def _dot(place: _Place, css: str, value: float, point: Mapping[str, Any]) -> Markup:
    """A circle for a point; `value` is its quality."""
    latency, size, test = point["latency"]["p50_ms"], point["bytes"], point.get("certified") or {}
    facts = [point["label"], f"{latency:.3g} ms", f"{size / 1e6:.1f} MB", f"{value:.4f}"]
    if test:
        sign = "≤" if test.get("passed") else "?"
        facts.append(f"−{test['bound_points']:.2f} {sign}")
    return tag(
        "circle",
        title(*facts),
        cx=place.x.percent(latency),
        cy=round(place.y.at(value), 1),
        r=round(max(4.0, LARGEST * math.sqrt(size / place.most)), 1),
        class_=css,
        tabindex=0,
        role="button",
        data_tip=" · ".join(facts),
        aria_label=" · ".join(facts),
    )
