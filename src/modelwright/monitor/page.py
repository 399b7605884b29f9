"""The findings as one HTML file that needs nothing else; English and Chinese."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from modelwright.monitor.quality import Quality
from modelwright.monitor.stage import Findings, Found
from modelwright.monitor.words import sentence, sentence_zh
from modelwright.runtime.files import write_text

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2530; --paper: #fff; --line: #d7dde5; --mine: #9aa7b5;
  --theirs: #1f6feb; --bad: #c62828; --good: #2e7d32 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --paper: #12161c; --line: #333c48;
  --mine: #6b7887; --theirs: #6ea8fe; --bad: #ff7b72; --good: #7ee787 } }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Noto Sans CJK SC", sans-serif }
h1 { font-size: 1.5rem; margin: .2rem 0 } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem }
.verdict { font-weight: 600; color: var(--good) } .verdict.bad, .moved { color: var(--bad) }
article { border-top: 1px solid var(--line); padding: .6rem 0 }
article h3 { font-size: 1rem; margin: 0; display: flex; justify-content: space-between; gap: 1rem }
svg { width: 100%; height: 84px; display: block } .mine { fill: var(--mine) }
.theirs { fill: var(--theirs) } p { margin: .2rem 0 } small, .note { opacity: .75 }
blockquote { margin: .3rem 0; padding-left: .7rem; border-left: 3px solid var(--bad);
  overflow-wrap: anywhere } table { border-collapse: collapse } td, th { padding: .2rem .8rem .2rem 0;
  text-align: left; font-variant-numeric: tabular-nums }
.wide { overflow-x: auto } td, th { white-space: nowrap }
.axis { display: flex; justify-content: space-between; gap: 1rem; font-size: .8rem; opacity: .75;
  overflow-wrap: anywhere } button { font: inherit } html:lang(en) .zh, html:lang(zh) .en { display: none }
"""
_SCRIPT = """
const page = document.documentElement
const speak = (to) => { page.lang = to }
speak(navigator.language.startsWith("zh") ? "zh" : "en")
for (const one of document.querySelectorAll("button")) one.onclick = () => speak(one.lang)
"""
_WIDE, _HIGH = 720.0, 72.0


def write_page(path: Path, found: Findings) -> None:
    """Write the page."""
    write_text(path, page(found))


def page(found: Findings) -> str:
    """The HTML."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(found.model)}</title><style>{_STYLE}</style></head><body>
<p><button type="button" lang="en">English</button> <button type="button" lang="zh">中文</button></p>
<h1>{escape(found.model)} <small>{escape(found.version)}</small></h1>
{_verdict(found)}
{_qualities(found)}
<h2>{_both("Signals", "信号")}</h2>
<p class="note">{
        _both(
            "Grey: the rows that the model was judged on. Blue: the last rows of the traffic. A score of 1 is "
            "the alarm, all signals and checks of a day considered.",
            "灰色为评估模型时的数据,蓝色为最近的流量。得分达到 1 即告警,已计入一天内所有信号与检查。",
        )
    }</p>
{"".join(map(_signal, found.signals))}
<script>{_SCRIPT}</script></body></html>
"""


def _both(english: str, chinese: str) -> str:
    return f'<span class="en">{english}</span><span class="zh">{chinese}</span>'


def _verdict(found: Findings) -> str:
    begin, end = (
        datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")
        for moment in (found.begin, found.end)
    )
    span = _both(
        f"The last {found.rows:,} recorded answers, {begin} to {end} UTC",
        f"最近记录的 {found.rows:,} 个回答,{begin} 至 {end}(UTC)",
    )
    names = escape(", ".join(found.alarms))
    said = (
        _both(f"Alarm: {names}", f"告警:{names}")
        if names
        else _both("Nothing moved beyond what chance does", "没有超出偶然范围的变化")
    )
    return f'<p>{span}</p><p class="verdict{" bad" if names else ""}">{said}</p>'


def _qualities(found: Findings) -> str:
    rows = [_quality(one, _both("feedback", "反馈")) for one in found.live]
    if found.estimate is not None:
        rows.append(_quality(found.estimate, _both("estimated from scores", "由置信度估计")))
    if not rows:
        return ""
    heads = "".join(
        f"<th>{_both(*pair)}</th>"
        for pair in (("Metric", "指标"), ("By", "来源"), ("Value", "值"), ("95%", "95% 区间"),
                     ("Rows", "行数"), ("Floor", "下限"))
    )  # fmt: skip
    table = f"<table><tr>{heads}</tr>{''.join(rows)}</table>"
    note = _both(
        "Estimated: how often answers of the same scores were right on the test rows. It holds while "
        "scores mean what they meant there; the interval includes what tenths of the test rows were off.",
        "估计值:测试数据中同样置信度的回答的正确率。前提是置信度的含义不变;区间包含在测试数据各十分位上测得的偏差。",
    )
    said = f'<p class="note">{note}</p>' if found.estimate is not None else ""
    return f'<h2>{_both("Quality", "质量")}</h2><div class="wide">{table}</div>{said}'


def _quality(one: Quality, by: str) -> str:
    floor = "" if one.floor is None else f"{one.floor:.3f}"
    moved = ' class="moved"' if one.broken else ""
    return (
        f"<tr{moved}><td>{escape(one.metric)}</td><td>{by}</td><td>{one.value:.3f}</td>"
        f"<td>{one.low:.3f} – {one.high:.3f}</td><td>{one.rows:,}</td><td>{floor}</td></tr>"
    )


def _signal(one: Found) -> str:
    english, chinese = map(escape, one.title)
    score = f'<b class="{"moved" if one.alarms else ""}">{one.score:.2f}</b>'
    examples = "".join(f"<blockquote>{escape(text)}</blockquote>" for text in one.examples)
    said = _both(escape(sentence(one)), escape(sentence_zh(one)))
    return (
        f"<article><h3><span>{_both(english, chinese)} <small>{escape(one.name)}</small></span>"
        f"{score}</h3><p>{said}</p>{_bars(one.shares)}{_axis(one)}{examples}</article>"
    )


def _axis(one: Found) -> str:
    """From where to where the bars go, or the categories that differ most."""
    if not one.shares:
        return ""
    if one.ordered:
        told = [one.shares[at][0] for at in (0, len(one.shares) // 2, -1)]
        told = [place.replace("-inf", "…") for place in dict.fromkeys(told)]
    else:
        told = [f"{name} {mine:.1%} → {theirs:.1%}" for name, mine, theirs in one.shares[:3]]
    return f'<div class="axis">{"".join(f"<span>{escape(place)}</span>" for place in told)}</div>'


def _bars(shares: Sequence[tuple[str, float, float]]) -> str:
    """Two bars for each stretch or category; what they are is told when pointed at."""
    highest = max((max(mine, theirs) for _, mine, theirs in shares), default=0.0)
    if not highest:
        return ""
    step = _WIDE / len(shares)
    parts = []
    for at, (name, mine, theirs) in enumerate(shares):
        told = f"<title>{escape(name)}: {mine:.1%} → {theirs:.1%}</title>"
        for shift, kind, share in ((0.08, "mine", mine), (0.5, "theirs", theirs)):
            high = _HIGH * share / highest
            parts.append(
                f'<rect class="{kind}" x="{step * (at + shift):.1f}" y="{_HIGH - high:.1f}" '
                f'width="{step * 0.4:.1f}" height="{high:.1f}">{told}</rect>'
            )
    return (
        f'<svg viewBox="0 0 {_WIDE:g} {_HIGH:g}" preserveAspectRatio="none" role="img">'
        f"{''.join(parts)}</svg>"
    )
