"""What a recipe's `monitor` section, kept in the bundle, and a command make of a check."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelwright.monitor.stage import MonitorRequest


def request_of(
    manifest: Mapping[str, Any],
    bundle: Path,
    traffic: Path,
    *,
    rows: int | None = None,
    since: float = 0.0,
    every: float | None = None,
) -> MonitorRequest:
    """The bundle's own settings, and over them those of a command."""
    section: Mapping[str, Any] = manifest.get("monitor") or {}
    usual = MonitorRequest(bundle, traffic)
    return MonitorRequest(
        bundle=bundle,
        traffic=traffic,
        rows=rows or section.get("rows") or usual.rows,
        since=since,
        every=every or section.get("every_s") or usual.every,
        false_alarms=section.get("false_alarms_per_day") or usual.false_alarms,
        tolerance=section.get("tolerance", usual.tolerance),
        signals=section.get("signals"),
    )
