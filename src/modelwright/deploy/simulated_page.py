"""The curves of simulated policies as one HTML file that needs nothing else; English and Chinese."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from modelwright.deploy.simulating import Simulated
from modelwright.runtime.files import write_text

_COLOURS = ("#1f6feb", "#9a6700", "#2e7d32")
_WIDE, _HIGH, _POINTS = 900.0, 160.0, 450
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2530; --paper: #fff; --line: #d7dde5 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --paper: #12161c; --line: #333c48 } }
body { margin: 0 auto; max-width: 64rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Noto Sans CJK SC", sans-serif }
h1 { font-size: 1.4rem } h2 { font-size: 1.05rem; margin: 1.2rem 0 .2rem }
svg { width: 100%; height: 170px; display: block; border-bottom: 1px solid var(--line) }
path { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke } .limit { stroke: #c62828;
  stroke-dasharray: 6 4 } .rate { stroke: currentColor } td, th { padding: .2rem .9rem .2rem 0;
  text-align: left; font-variant-numeric: tabular-nums } i { display: inline-block; width: 1rem;
  height: .3rem; margin-right: .4rem; vertical-align: middle } button { font: inherit }
small { opacity: .75 } html:lang(en) .zh, html:lang(zh) .en { display: none }
"""
_SCRIPT = """
const page = document.documentElement
const speak = (to) => { page.lang = to }
speak(navigator.language.startsWith("zh") ? "zh" : "en")
for (const one of document.querySelectorAll("button")) one.onclick = () => speak(one.lang)
"""
_NAMES = {"best": "最佳", "fixed": "固定", "yours": "给定"}


def write_page(path: Path, named: Mapping[str, Simulated], slo_p99_ms: float, trace: str) -> None:
    """Write the page.

    Args:
        path: of the file.
        named: what was played, by name; all on one trace.
        slo_p99_ms: the promise.
        trace: its name.
    """
    write_text(path, page(named, slo_p99_ms, trace))


def page(named: Mapping[str, Simulated], slo_p99_ms: float, trace: str) -> str:
    """The HTML."""
    first = next(iter(named.values()))
    hours = first.seconds[-1] / 3600 if len(first.seconds) else 0.0
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(trace)}</title><style>{_STYLE}</style></head><body>
<p><button type="button" lang="en">English</button> <button type="button" lang="zh">中文</button></p>
<h1>{_both("Scaling, simulated", "扩缩容模拟")} <small>{escape(trace)}, {hours:.1f} h</small></h1>
{_table(named)}
<h2>{_both("Requests a second", "每秒请求数")}</h2>
{_chart([("rate", first.rate)], lambda _: "currentColor")}
<h2>{_both("Replicas that answer", "可用副本数")}</h2>
{_chart([(name, one.replicas) for name, one in named.items()], _colour(named))}
<h2>{_both(f"99th percentile, ms (dashed: {slo_p99_ms:g} promised)", f"99 分位延迟,毫秒(虚线为承诺的 {slo_p99_ms:g})")}</h2>
{_chart([(name, one.p99_ms) for name, one in named.items()], _colour(named), slo_p99_ms)}
<script>{_SCRIPT}</script></body></html>
"""


def _both(english: str, chinese: str) -> str:
    return f'<span class="en">{english}</span><span class="zh">{chinese}</span>'


def _colour(named: Mapping[str, Simulated]) -> Callable[[str], str]:
    found = dict(zip(named, _COLOURS, strict=False))
    return lambda name: found.get(name, "currentColor")


def _table(named: Mapping[str, Simulated]) -> str:
    heads = "".join(
        f"<th>{_both(*pair)}</th>"
        for pair in (
            ("Policy", "策略"), ("Replicas", "副本"), ("Target in flight", "目标并发"),
            ("In time", "按时"), ("Failed", "失败"), ("Replica hours", "副本小时"), ("Cost", "费用"),
        )
    )  # fmt: skip
    rows, colour = [], _colour(named)
    for name, one in named.items():
        policy = one.policy
        title = f'<i style="background:{colour(name)}"></i>' + _both(
            escape(name), _NAMES.get(name, escape(name))
        )
        cells = (
            title, f"{policy.minimum} – {policy.maximum}", f"{policy.target:g}", f"{one.in_time:.2%}",
            f"{one.failed:,.0f}", f"{one.replica_hours:,.1f}", f"{one.cost:,.2f}",
        )  # fmt: skip
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table><tr>{heads}</tr>{''.join(rows)}</table>"


def _chart(
    lines: Sequence[tuple[str, np.ndarray]], colour: Callable[[str], str], limit: float = 0.0
) -> str:
    """Lines over time, of each stretch its highest value; the scale's end stands at its top."""
    reduced = [(name, _highest(values)) for name, values in lines]
    top = max(
        [limit * 1.2, *(float(values.max()) for _, values in reduced if len(values))], default=0.0
    )
    if limit:
        top = min(top, limit * 5)
    if not top:
        return ""
    parts = [f'<text x="4" y="14" font-size="12" fill="currentColor">{top:,.3g}</text>']
    for name, values in reduced:
        step = _WIDE / max(1, len(values) - 1)
        points = " ".join(
            f"{step * at:.1f},{_HIGH * (1 - min(value, top) / top):.1f}"
            for at, value in enumerate(values)
        )
        parts.append(
            f'<path style="stroke:{colour(name)}" d="M {points}"><title>{escape(name)}</title></path>'
        )
    if limit:
        at = _HIGH * (1 - limit / top)
        parts.append(f'<path class="limit" d="M 0,{at:.1f} {_WIDE},{at:.1f}"></path>')
    return (
        f'<svg viewBox="0 0 {_WIDE:g} {_HIGH:g}" preserveAspectRatio="none">{"".join(parts)}</svg>'
    )


def _highest(values: np.ndarray) -> np.ndarray:
    size = max(1, -(-len(values) // _POINTS))
    padded = np.pad(values, (0, -len(values) % size), mode="edge")
    return padded.reshape(-1, size).max(axis=1)
