"""Drift and quality of a bundle's recorded traffic.

The last rows that `mw serve --traffic` recorded are compared with the rows that the model was judged
on: what was asked (length, language, unseen words, vectors) and what was answered (labels, scores);
feedback tells the quality. Exit code 3 when something moved beyond what chance does, or quality fell.
With --every it goes on and tells Prometheus.

`mw monitor BUNDLE --traffic DIR`, or `mw monitor BUNDLE --traffic DIR --every 3600 --port 9109`
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from modelwright.cli.output import Answer

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def command(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    traffic: Annotated[Path, typer.Option(help="The folder that `mw serve --traffic` writes.")],
    rows: Annotated[
        int | None, typer.Option(min=100, help="The last rows that are looked at.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only later rows: 2h, 3d, or an ISO time.")
    ] = None,
    every: Annotated[
        float | None, typer.Option(min=1, help="Seconds after which to check again, for ever.")
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the gauges for Prometheus, with --every.")
    ] = 9109,
    host: Annotated[
        str, typer.Option(help="Address of the gauges; 0.0.0.0 for other machines and containers.")
    ] = "127.0.0.1",
    variant: Annotated[
        str | None, typer.Option(help="That makes vectors; the bundle's default when not given.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the findings as an HTML page.")] = None,
) -> Answer | int:
    """Check one bundle's traffic."""
    from modelwright.artifacts.bundle import read_bundle
    from modelwright.monitor.page import write_page
    from modelwright.monitor.settings import request_of
    from modelwright.monitor.stage import run
    from modelwright.monitor.watching import watch

    manifest = read_bundle(bundle)
    request = request_of(manifest, bundle, traffic, rows=rows, since=_moment(since), every=every)
    request = replace(request, variant=variant)
    if every is not None:
        return watch(request, host, port, out)
    found = run(request)
    if out is not None:
        write_page(out, found)
    return Answer(found.as_dict(), _told(found, out), exit=3 if found.alarms else 0)


def _moment(since: str | None) -> float:
    """Seconds since 1970 of `2h`, `3d` or an ISO time; 0 for all times."""
    from modelwright.errors import UserError

    if since is None:
        return 0.0
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", since):
        return time.time() - float(found[1]) * _UNITS[found[2]]
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        raise UserError(
            "MW-805",
            f"--since {since} is no time",
            expected="30m, 2h, 3d, or an ISO time",
            fix="for example --since 2h, or --since 2026-01-02T03:04",
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _told(found: Any, out: Path | None) -> str:
    from modelwright.cli.output import table
    from modelwright.monitor.words import sentence

    lines = []
    span = " to ".join(
        datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M") for moment in
        (found.begin, found.end)
    )  # fmt: skip
    lines.append(f"{found.model} {found.version}: the last {found.rows:,} answers, {span} UTC")
    lines.append(
        table(
            [
                ("MOVED" if one.alarms else "", one.name, f"{one.score:.2f}", sentence(one))
                for one in found.signals
            ]
        )
    )
    for one in found.signals:
        lines += [f"  {one.name}: {text!r}" for text in one.examples]
    for metric in found.live:
        held = " FELL" if metric.broken else ""
        floor = "" if metric.floor is None else f", floor {metric.floor:.3f}"
        lines.append(
            f"{metric.metric} by feedback on {metric.rows:,} rows: {metric.value:.3f} "
            f"({metric.low:.3f} to {metric.high:.3f}){floor}{held}"
        )
    if found.estimate is not None:
        told = found.estimate
        lines.append(
            f"accuracy estimated from scores: {told.value:.3f} ({told.low:.3f} to {told.high:.3f})"
        )
    lines.append(f"alarm: {', '.join(found.alarms)}" if found.alarms else "nothing moved")
    if out is not None:
        lines.append(f"page  {out}")
    return "\n".join(lines)
