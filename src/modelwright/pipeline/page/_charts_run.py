"""Charts of the run: rows as a flow, class balance, learning curves, latency, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from modelwright.pipeline.page import _words
from modelwright.pipeline.page._charts_quality import FEW_CLASSES, named_bars
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

_LEAST_WIDTH = 0.7
_MOST_POINTS = 400


def flow(rows_in: int, kept: int, dropped: Mapping[str, int], splits: Mapping[str, int]) -> Markup:
    """Rows in, what became of them, and the splits of those kept: three bars, joined."""
    bar, gap = 34, 26
    kept_and_dropped = [("kept", kept, "kept"), *((name, n, "drop") for name, n in dropped.items())]
    top = _placed([("in", rows_in, "all")], 100)
    middle = _placed(kept_and_dropped, 100)
    bottom = _placed([(name, n, "split") for name, n in splits.items() if n], middle[0].end)
    levels = [top, middle, bottom]
    parts = [
        tag("svg", stretched(gap, [_join(block, gap)]), y=bar + level * (bar + gap),
            width="100%", height=gap)
        for level, blocks in enumerate(levels[1:])
        for block in blocks
    ]  # fmt: skip
    for level, blocks in enumerate(levels):
        parts += [_flow_bar(block, level * (bar + gap), bar) for block in blocks]
    used = 3 if bottom else 2
    return chart(used * bar + (used - 1) * gap, parts, css="flow")


@dataclass(frozen=True)
class _Block:
    """Rows of one fate: from `start` to `end` percent of the width."""

    name: str
    start: float
    end: float
    rows: int
    css: str


def _placed(nodes: Sequence[tuple[str, int, str]], end: float) -> list[_Block]:
    """Blocks side by side from 0 to `end`; the smallest stay wide enough to be seen."""
    total = sum(count for _, count, _ in nodes) or 1
    wide = [max(_LEAST_WIDTH, end * count / total) for _, count, _ in nodes]
    shrink = end / (sum(wide) or 1)
    found, at = [], 0.0
    for (name, count, css), width in zip(nodes, wide, strict=True):
        found.append(_Block(name, at, at + width * shrink, count, css))
        at += width * shrink
    return found


def _join(block: _Block, height: float) -> Markup:
    """What leads from the bar above down to the block."""
    shape = (
        f"{block.start:.2f},0 {block.end:.2f},0 {block.end:.2f},{height} {block.start:.2f},{height}"
    )
    return tag("polygon", points=shape, class_=f"join {block.css}")


def _flow_bar(block: _Block, y: float, height: float) -> Markup:
    name, start, end, count, css = block.name, block.start, block.end, block.rows, block.css
    label = _words.plain(f"flow.{name}") if f"flow.{name}" in _words.table() else name
    parts = [
        title(label, f"{count:,}"),
        tag("rect", x=f"{start:.2f}%", width=f"{max(0.2, end - start - 0.25):.2f}%", y=y,
            height=height, class_=f"block {css}"),
    ]  # fmt: skip
    if end - start > 16:
        parts += [
            tag("text", _inside(name), x=f"{start + 1.2:.2f}%", y=y + 22, class_="inside"),
        ]
        if end - start > 30:
            parts.append(tag("text", f"{count:,}", x=f"{end - 1.2:.2f}%", y=y + 22,
                             class_="inside", text_anchor="end"))  # fmt: skip
    return tag("g", *parts)


def _inside(name: str) -> Markup | str:
    key = f"flow.{name}"
    if key not in _words.table():
        return name
    return Markup("").join(
        tag("tspan", _words.plain(key, language), class_=language, lang=language)
        for language in _words.LANGUAGES
    )


def balance(classes: Sequence[Mapping[str, Any]]) -> Markup:
    """Training rows of every class, largest first."""
    ranked = sorted(classes, key=lambda row: -row["train_rows"])
    if len(ranked) <= FEW_CLASSES:
        top = max(1, ranked[0]["train_rows"])
        return named_bars(
            [(row["name"], row["train_rows"] / top, f"{row['train_rows']:,}", "") for row in ranked]
        )
    height = 130
    y = Scale(0, max(1, *(row["train_rows"] for row in ranked)), height, 0)
    wide = 100 / len(ranked)
    parts = [gridline(y, tick, 4, f"{tick:,.0f}") for tick in y.ticks(4) if tick == int(tick)]
    for index, row in enumerate(ranked):
        top = min(y.at(row["train_rows"]), height - 1)
        parts.append(
            tag("rect", title(row["name"], f"n = {row['train_rows']:,}"),
                x=f"{index * wide + wide * 0.1:.2f}%", width=f"{wide * 0.8:.2f}%",
                y=round(top, 1), height=round(height - top, 1), class_="bar")
        )  # fmt: skip
    return chart(height + 8, parts, css="with-axis")


def losses(
    history: Sequence[Mapping[str, Any]], evaluations: Sequence[Mapping[str, Any]]
) -> Markup:
    """Training loss by step, smoothed over the raw curve, and the loss on validation rows."""
    points = [
        (row["step"], row["loss"]) for row in _thinned(history) if row.get("loss") is not None
    ]
    checks = [(row["step"], row["loss"]) for row in evaluations if row.get("loss") is not None]
    height = 180
    values = [value for _, value in points + checks]
    x = Scale(0, max(step for step, _ in points + checks))
    y = Scale(0, max(values), height, 8)
    parts = [gridline(y, tick, 4, f"{tick:g}") for tick in y.ticks(4)]
    curves = []
    if len(points) > 30:
        curves.append(polyline([(x.at(a), y.at(b)) for a, b in points], "curve raw"))
        curves.append(polyline([(x.at(a), y.at(b)) for a, b in _smooth(points)], "curve"))
    elif points:
        curves.append(polyline([(x.at(a), y.at(b)) for a, b in points], "curve"))
    if len(checks) > 1:
        curves.append(polyline([(x.at(a), y.at(b)) for a, b in checks], "curve second"))
    parts.append(stretched(height, curves))
    parts += [
        tag("circle", title(f"{step:,}", f"{value:.4f}"), cx=x.percent(step),
            cy=round(y.at(value), 1), r=3.5, class_="point second")
        for step, value in checks
    ]  # fmt: skip
    parts += [tick_text(x, tick, f"{tick:,.0f}", height + 18) for tick in x.ticks(5)]
    return chart(height + 24, parts, css="with-axis")


def progress(
    evaluations: Sequence[Mapping[str, Any]], metric: str, best: Mapping[str, Any], last_step: float
) -> Markup:
    """The main metric on the validation rows by step; the best is marked."""
    points = [(row["step"], row[metric]) for row in evaluations if row.get(metric) is not None]
    height = 180
    values = [value for _, value in points]
    room = 0.08 * (max(values) - min(values) or abs(max(values)) or 1)
    x = Scale(0, max(last_step, *(step for step, _ in points)))
    y = Scale(min(values) - room, max(values) + room, height, 0)
    parts = [gridline(y, tick, 4, _words.tick(metric, tick)) for tick in y.ticks(4)]
    parts.append(
        stretched(height, [polyline([(x.at(a), y.at(b)) for a, b in points], "curve good")])
    )
    for step, value in points:
        css = "point best" if step == best.get("step") else "point good"
        tip = title(f"{step:,}", _words.figure(metric, value))
        parts.append(tag("circle", tip, cx=x.percent(step), cy=round(y.at(value), 1),
                         r=6 if "best" in css else 3.5, class_=css))  # fmt: skip
    parts += [tick_text(x, tick, f"{tick:,.0f}", height + 18) for tick in x.ticks(5)]
    return chart(height + 24, parts, css="with-axis")


def _thinned(history: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    every = -(-len(history) // _MOST_POINTS) or 1
    return [row for index, row in enumerate(history) if index % every == 0 or row is history[-1]]


def _smooth(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Exponential moving average over about a thirtieth of the points, unbiased at the start."""
    keep = 1 - 1 / max(2.0, len(points) / 30)
    total, weight, found = 0.0, 0.0, []
    for step, value in points:
        total, weight = keep * total + (1 - keep) * value, keep * weight + (1 - keep)
        found.append((step, total / weight))
    return found


def latency(shape: Sequence[tuple[str, Mapping[str, Any]]]) -> Markup:
    """One shape: for each (variant, measurement) a bar to p50 and a line on to p95, in ms."""
    row, top = 40, max(max(m["p95_ms"] or 0, m["p50_ms"]) for _, m in shape)
    x = Scale(0, top, 0, 80)
    fastest = min(m["p50_ms"] for _, m in shape)
    parts: list[Markup] = []
    for index, (name, measured) in enumerate(shape):
        y = index * row
        end, far = x.percent(measured["p50_ms"]), x.percent(measured["p95_ms"])
        css = "bar" if measured["p50_ms"] == fastest else "bar soft"
        tip = title(name, f"p50 {_words.milliseconds(measured['p50_ms'])} ms",
                    f"p95 {_words.milliseconds(measured['p95_ms'])} ms")  # fmt: skip
        parts += [
            tag("text", name, x=0, y=y + 12, class_="bar-label"),
            tag("g", tip,
                tag("rect", x=0, y=y + 18, height=12, width=end, class_=css),
                tag("line", x1=end, x2=far, y1=y + 24, y2=y + 24, class_="whisker"),
                tag("line", x1=far, x2=far, y1=y + 20, y2=y + 28, class_="whisker")),
            tag("text", _words.milliseconds(measured["p50_ms"]), x=far, dx=8, y=y + 28,
                class_="bar-value"),
        ]  # fmt: skip
    return chart(len(shape) * row, parts)


def costs(stages: Sequence[Mapping[str, Any]]) -> Markup:
    """Seconds of each stage: a bar as measured, a mark as predicted."""
    row = 40
    top = max(max(s.get("seconds") or 0, s.get("predicted_seconds") or 0) for s in stages) or 1
    x = Scale(0, top, 0, 84)
    parts: list[Markup] = []
    for index, stage in enumerate(stages):
        y, seconds = index * row, stage.get("seconds") or 0
        predicted = stage.get("predicted_seconds")
        tip = title(
            stage.get("name", ""), _words.duration(seconds), f"({_words.duration(predicted)})"
        )
        shapes = [tag("rect", x=0, y=y + 18, height=12, width=x.percent(seconds),
                      class_="bar soft" if stage.get("cached") else "bar")]  # fmt: skip
        if predicted is not None:
            at = x.percent(predicted)
            shapes.append(tag("line", x1=at, x2=at, y1=y + 14, y2=y + 34, class_="predicted"))
        name = stage.get("name", "")
        key = f"stage.{name}"
        label = _stage_label(key, name, y)
        end = x.percent(max(seconds, predicted or 0))
        value = _words.duration(seconds)
        parts += [label, tag("g", tip, *shapes)]
        parts.append(tag("text", value, x=end, dx=8, y=y + 28, class_="bar-value"))
    return chart(len(stages) * row, parts)


def _stage_label(key: str, name: str, y: float) -> Markup:
    if key in _words.table():
        return _words.chart_text(key, 0, y + 12, "bar-label")
    return tag("text", name, x=0, y=y + 12, class_="bar-label")
