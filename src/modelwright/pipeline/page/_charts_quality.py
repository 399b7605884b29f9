"""Charts of how good and how sure: intervals, classes, reliability, confusion, regression."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from modelwright.pipeline.page import _words
from modelwright.pipeline.page._order import seriated
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

FEW_CLASSES = 20
_BAR_ROW = '<div class="dot-row"><span class="dot-label">{}</span>{}<b class="num">{}</b></div>'
_LETTERS = {"F1": "f1", "P": "precision", "R": "recall"}
_ROW = 30
_CELL = 11
_LABEL_WIDTH = 5.9
_LONGEST_LABEL = 40


def dots(
    rows: Sequence[Mapping[str, Any]],
    metric: str,
    *,
    zero: bool = False,
    reference: float | None = None,
) -> Markup:
    """Values with their intervals on one axis, a row each: `label`, `value`, `low`, `high`, `css`.

    Args:
        rows: top to bottom; `note` is shown beneath the label.
        metric: decides how a value is written.
        zero: whether the axis starts at 0 (and ends at 1 for shares).
        reference: a value marked by a vertical line.
    """
    if zero and _words.is_share(metric):
        scale = Scale(0, 1)
    else:
        scale = _interval_scale(rows, zero, reference)

    def show(value: float) -> str:
        return _words.figure(metric, value)

    body = Markup("").join(_dot_row(row, show, scale, reference) for row in rows)
    parts = [tick_text(scale, tick, _words.tick(metric, tick), 14) for tick in scale.ticks(4)]
    axis = Markup('<div class="dot-row axis"><span></span>{}<span></span></div>').format(
        chart(18, parts)
    )
    return Markup('<div class="dots">{}{}</div>').format(body, axis)


def _interval_scale(
    rows: Sequence[Mapping[str, Any]], zero: bool, reference: float | None
) -> Scale:
    values = [row[key] for row in rows for key in ("low", "value", "high") if row[key] is not None]
    values += [] if reference is None else [reference]
    low, high = min(values), max(values)
    room = 0.04 * (high - low or abs(high) or 1)
    low = min(0.0, low) if zero else low - room
    return Scale(low, high + room, 0, 100)


def _dot_row(
    row: Mapping[str, Any], show: Callable[[float], str], scale: Scale, reference: float | None
) -> Markup:
    middle = _ROW / 2
    x = scale.percent(row["value"])
    css = row.get("css", "")
    span = f"{show(row['low'])} – {show(row['high'])}" if row["low"] is not None else ""
    parts = [tag("line", x1="0", x2="100%", y1=middle, y2=middle, class_="rule")]
    if reference is not None:
        at = scale.percent(reference)
        parts.append(tag("line", x1=at, x2=at, y1=0, y2=_ROW, class_="reference"))
    mark = []
    if row["low"] is not None:
        low, high = scale.percent(row["low"]), scale.percent(row["high"])
        mark.append(tag("line", x1=low, x2=high, y1=middle, y2=middle, class_="interval"))
    mark.append(tag("circle", cx=x, cy=middle, r=5))
    mark.append(title(row.get("name", ""), show(row["value"]), span))
    parts.append(tag("g", *mark, class_=f"dot {css}"))
    note = Markup("<small>{}</small>").format(row["note"]) if row.get("note") else ""
    return Markup(
        '<div class="dot-row {}"><span class="dot-label">{}{}</span>{}<b class="num">{}</b></div>'
    ).format(css, row["label"], note, chart(_ROW, parts), show(row["value"]))


def reliability(curve: Sequence[Mapping[str, Any]]) -> Markup:
    """Accuracy against confidence, dots as large as their bins, and the bins' sizes beneath."""
    height, below = 260, 56
    y = Scale(0, 1, height, 0)
    x = Scale(0, 1)
    most = max(row["count"] for row in curve)
    total = sum(row["count"] for row in curve)
    parts = [gridline(y, share, 4) for share in (0, 0.25, 0.5, 0.75, 1)]
    parts.append(stretched(height, [polyline([(0, height), (100, 0)], "diagonal")]))
    for row in curve:
        at, right = x.percent(row["confidence"]), y.at(row["accuracy"])
        over = "over" if row["accuracy"] < row["confidence"] else "under"
        gap = tag("line", x1=at, x2=at, y1=y.at(row["confidence"]), y2=right, class_=f"gap {over}")
        size = 3 + 7 * (row["count"] / most) ** 0.5
        dot = tag("circle", cx=at, cy=right, r=round(size, 1), class_="point")
        tip = title(
            f"{row['low']:.0%}–{row['high']:.0%}",
            f"{row['confidence']:.1%} → {row['accuracy']:.1%}",
            f"n = {row['count']:,}",
        )  # fmt: skip
        parts.append(tag("g", gap, dot, tip))
        bar = below * row["count"] / most
        parts.append(
            tag("rect", title(f"n = {row['count']:,}", f"{row['count'] / total:.1%}"),
                x=x.percent(row["low"]), y=height + 12 + below - bar, height=bar,
                width=f"{100 * (row['high'] - row['low']) - 0.6:.2f}%", class_="bar soft")
        )  # fmt: skip
    bottom = height + 12 + below
    parts += [tick_text(x, share, f"{share:.0%}", bottom + 16) for share in (0, 0.25, 0.5, 0.75, 1)]
    return chart(bottom + 22, parts, css="with-axis")


def named_bars(rows: Sequence[tuple[str, float, str, str]]) -> Markup:
    """A bar a row, for few rows: (name, share of the width, value as text, css)."""
    parts = []
    for name, share, text, css in rows:
        wide = f"{max(0.3, 100 * share):.2f}%"
        bar = tag("rect", title(name, text), x=0, y=8, width=wide, height=12, class_=f"bar {css}")
        parts.append(Markup(_BAR_ROW).format(_words.breakable(name), chart(28, [bar]), text))
    return Markup('<div class="dots">{}</div>').format(Markup("").join(parts))


def class_bars(classes: Sequence[Mapping[str, Any]], weak: float) -> Markup:
    """F1 of every class, lowest first; those below `weak` stand out."""
    ranked = sorted(classes, key=lambda row: row["f1"])
    if len(ranked) <= FEW_CLASSES:
        return named_bars(
            [
                (row["name"], row["f1"], f"{row['f1']:.1%}", "warn" if row["f1"] < weak else "")
                for row in ranked
            ]
        )
    height = 150
    y = Scale(0, 1, height, 0)
    wide = 100 / max(1, len(ranked))
    parts = [gridline(y, share, 4) for share in (0, 0.5, 1)]
    for index, row in enumerate(ranked):
        top = y.at(row["f1"])
        scores = (f"{key} {row[name]:.1%}" for key, name in _LETTERS.items())
        tip = title(row["name"], *scores, f"n = {row['support']}")
        css = "bar warn" if row["f1"] < weak else "bar"
        tall = max(height - top, 1.5)
        parts.append(
            tag("rect", tip, x=f"{index * wide + wide * 0.1:.2f}%", width=f"{wide * 0.8:.2f}%",
                y=round(height - tall, 1), height=round(tall, 1), class_=css)
        )  # fmt: skip
    return chart(height + 8, parts, css="with-axis")


def heat_map(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> Markup:
    """The confusion matrix, gold by predicted, classes that are confused side by side.

    Right answers are blue and wrong ones orange, the stronger the larger the share of the gold
    class; empty cells are not drawn.
    """
    order = seriated(matrix)
    count = len(labels)
    size = _CELL if count > 30 else 20
    longest = max(len(_short(label)) for label in labels)
    left = round(min(longest, _LONGEST_LABEL) * _LABEL_WIDTH + 14)
    side = count * size
    parts = [tag("rect", x=left, y=left, width=side, height=side, class_="field")]
    for place, index in enumerate(order):
        middle = left + place * size + size / 2
        text = _short(labels[index])
        full = title(labels[index])
        parts.append(
            tag("text", text, full, x=left - 6, y=middle + 3.5, class_="cell-label",
                text_anchor="end", data_r=place)
        )  # fmt: skip
        parts.append(
            tag("text", text, full, transform=f"translate({middle + 3.5} {left - 6}) rotate(-90)",
                class_="cell-label", data_c=place)
        )  # fmt: skip
    position = {index: place for place, index in enumerate(order)}
    for gold, row in enumerate(matrix):
        total = sum(row)
        for ours, number in enumerate(row):
            if number:
                place = (left + position[ours] * size, left + position[gold] * size, size)
                tip = title(f"{labels[gold]} → {labels[ours]}", f"{number} / {total}",
                            f"{number / total:.1%}")  # fmt: skip
                parts.append(
                    _cell(
                        place, number / total, gold == ours, tip, (position[gold], position[ours])
                    )
                )
    whole = left + side + 2
    return tag("svg", *parts, class_="heat", width=whole, height=whole, role="img",
               viewBox=f"0 0 {whole} {whole}")  # fmt: skip


def _cell(
    place: tuple[float, float, float], share: float, right: bool, tip: Markup, at: tuple[int, int]
) -> Markup:
    x, y, size = place
    strength = 0.12 + 0.88 * share**0.6 if right else min(1.0, 0.3 + 1.6 * share)
    return tag("rect", tip, x=x, y=y, width=size - 1, height=size - 1,
               class_="cell right" if right else "cell wrong", fill_opacity=f"{strength:.2f}",
               data_r=at[0], data_c=at[1])  # fmt: skip


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"


def scatter(points: Sequence[Mapping[str, Any]]) -> Markup:
    """Predicted against actual, with the diagonal on which both agree."""
    height = 300
    values = [point[key] for point in points for key in ("actual", "predicted")]
    low, high = min(values), max(values)
    room = 0.04 * (high - low or 1)
    x, y = Scale(low - room, high + room), Scale(low - room, high + room, height, 0)
    parts = [gridline(y, tick, 4, f"{tick:g}") for tick in y.ticks(5)]
    parts.append(stretched(height, [polyline([(0, height), (100, 0)], "diagonal")]))
    for point in points:
        ours = f"{_words.number(point['actual'])} → {_words.number(point['predicted'])}"
        at, high = x.percent(point["actual"]), round(y.at(point["predicted"]), 1)
        tip = title(ours, point["text"])
        parts.append(tag("circle", tip, cx=at, cy=high, r=3, class_="point faint"))
    parts += [tick_text(x, tick, f"{tick:g}", height + 18) for tick in x.ticks(5)]
    return chart(height + 24, parts, css="with-axis")


def histogram(
    edges: Sequence[float], counts: Sequence[int], *, mark: float | None = None, height: int = 150
) -> Markup:
    """Bars from edge to edge; `mark` draws a vertical line."""
    x = Scale(edges[0], edges[-1])
    y = Scale(0, max(*counts, 1), height, 0)
    parts = [gridline(y, tick, 4, f"{tick:,.0f}") for tick in y.ticks(4) if tick == int(tick)]
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        wide = max(0.3, x.at(high) - x.at(low) - 0.4)
        tip = title(f"{_plain(low)} – {_plain(high)}", f"n = {count:,}")
        parts.append(
            tag("rect", tip, x=x.percent(low), width=f"{wide:.2f}%", y=round(y.at(count), 1),
                height=round(height - y.at(count), 1), class_="bar")
        )  # fmt: skip
    if mark is not None:
        at = x.percent(mark)
        parts.append(tag("line", x1=at, x2=at, y1=0, y2=height, class_="reference"))
    parts += [tick_text(x, tick, _plain(tick), height + 18) for tick in x.ticks(6)]
    return chart(height + 24, parts, css="with-axis")


def _plain(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.2f}"
