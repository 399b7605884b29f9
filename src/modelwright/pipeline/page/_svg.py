"""The little of SVG that the charts need.

Charts are fluid: x is in percent of the width and y in pixels, so that text keeps its size on a
telephone. Curves lie in a nested `svg` that is stretched. Colours are CSS classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape


def tag(name: str, *content: object, **attributes: object) -> Markup:
    """An element; text is escaped, `class_` is class, `stroke_width` is stroke-width."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(escape(part) for part in content)
    return Markup(f"<{name}{written}>{inner}</{name}>") if inner else Markup(f"<{name}{written}/>")


def title(*parts: object) -> Markup:
    """A tooltip."""
    return tag("title", " · ".join(str(part) for part in parts))


def chart(
    height: float, parts: Iterable[Markup], *, css: str = "", label: str = "", role: str = "img"
) -> Markup:
    """The outermost `svg`: as wide as its box, `height` pixels high.

    Its role is `group` where single marks can be reached by keyboard: an `img` has no parts.
    """
    body = Markup("").join(parts)
    return tag("svg", body, class_=f"chart {css}".strip(), width="100%", height=_short(height),
               role=role, aria_label=label or None)  # fmt: skip


def stretched(height: float, parts: Iterable[Markup]) -> Markup:
    """A nested `svg` in which x runs from 0 to 100, for curves."""
    return tag("svg", Markup("").join(parts), width="100%", height=_short(height),
               viewBox=f"0 0 100 {_short(height)}", preserveAspectRatio="none",
               class_="stretched")  # fmt: skip


def polyline(points: Sequence[tuple[float, float]], css: str) -> Markup:
    """A line through points of a stretched `svg`."""
    path = " ".join(f"{_short(x)},{_short(y)}" for x, y in points)
    return tag("polyline", points=path, class_=css)


class Scale:
    """Values from `low` to `high` to positions from `start` to `end`."""

    def __init__(self, low: float, high: float, start: float = 0, end: float = 100) -> None:
        self.low, self.high = low, high if high > low else low + 1
        self.start, self.end = start, end

    def at(self, value: float) -> float:
        """The position, kept inside."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def percent(self, value: float) -> str:
        """The position as a share of the width."""
        return _short(self.at(value)) + "%"

    def ticks(self, most: int = 6) -> list[float]:
        """Round values inside, at most about `most`."""
        step = _round_step((self.high - self.low) / max(1, most - 1))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(i * step, 10) for i in range(first, last + 1)]


def tick_text(scale: Scale, value: float, text: str, y: float) -> Markup:
    """The text under a tick; the outermost lean inward so that nothing is cut off."""
    at = scale.at(value)
    anchor = "start" if at < 4 else "end" if at > 96 else "middle"
    return tag("text", text, x=scale.percent(value), y=y, class_="tick", text_anchor=anchor)


def gridline(scale: Scale, value: float, digits: int, text: str | None = None) -> Markup:
    """A horizontal line at a value with its text left of it; a percentage without `text`."""
    y = round(scale.at(value), 2)
    label = f"{value:.0%}" if text is None else text
    return tag(
        "g",
        tag("line", x1="0", x2="100%", y1=y, y2=y, class_="grid"),
        tag("text", label, x=-8, y=y + digits, class_="tick", text_anchor="end"),
    )


def _round_step(rough: float) -> float:
    size = 10 ** math.floor(math.log10(rough)) if rough > 0 else 1
    return next(size * nice for nice in (1, 2, 2.5, 5, 10) if size * nice >= rough * 0.999)


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
