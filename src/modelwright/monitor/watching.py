"""The same check every so often, told to Prometheus; a check that fails is told and made again.

When a bundle beside the watched one answers all requests, as after a promotion, that one is watched.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from modelwright.artifacts.bundle import MANIFEST, read_bundle
from modelwright.artifacts.traffic import read_latest
from modelwright.errors import ModelwrightError, UserError
from modelwright.monitor.page import write_page
from modelwright.monitor.quality import floor
from modelwright.monitor.stage import LEAST_ROWS, Findings, MonitorRequest, run
from modelwright.runtime.device import stop_requests
from modelwright.runtime.libraries import require
from modelwright.runtime.progress import say

REQUIRES = {"prometheus_client": "serve"}
LATEST = 50
"""Answers that must all be of one other version before it is followed."""
_METRICS = ("accuracy", "exact_match", "mae")
_NAP_S = 0.2


@final
class Gauges:
    """What Prometheus reads."""

    def __init__(self) -> None:
        prometheus = require("prometheus_client", "serve")
        self.registry = prometheus.CollectorRegistry()

        def gauge(name: str, summary: str, *labels: str) -> Any:
            return prometheus.Gauge(
                f"modelwright_{name}", summary, ("model", *labels), registry=self.registry
            )

        self.score = gauge("drift_score", "1 is the alarm.", "signal")
        self.rows = gauge("drift_rows", "Rows of the window.")
        self.last = gauge("monitor_last_run_timestamp_seconds", "When a check last ended.")
        self.period = gauge("monitor_period_seconds", "Between two checks.")
        self.failed = prometheus.Counter(
            "modelwright_monitor_failures",
            "Checks that could not be made.",
            ("model",),
            registry=self.registry,
        )
        self.live = {
            end: gauge(f"live_quality{end}", "By feedback.", "metric")
            for end in ("", "_low", "_high")
        }
        self.floor = gauge("quality_floor", "Worst value that is in order.", "metric")
        self.estimate = gauge("estimated_quality", "By confidence alone.", "metric")

    def begin(self, manifest: Mapping[str, Any], request: MonitorRequest) -> None:
        """A bundle is watched from now on; what was told of another is forgotten."""
        name = manifest["name"]
        for gauge in (self.score, self.rows, self.floor, self.estimate, *self.live.values()):
            gauge.clear()
        for metric in _METRICS:
            if (lowest := floor(manifest, metric, request.tolerance)) is not None:
                self.floor.labels(name, metric).set(lowest)
        self.period.labels(name).set(request.every)
        self.failed.labels(name)

    def tell(self, found: Findings) -> None:
        """The findings of a check."""
        for one in found.signals:
            self.score.labels(found.model, one.name).set(one.score)
        self.rows.labels(found.model).set(found.rows)
        for one in found.live:
            if one.rows < LEAST_ROWS:  # an interval of few answers alarms too easily
                continue
            for end, value in (("", one.value), ("_low", one.low), ("_high", one.high)):
                self.live[end].labels(found.model, one.metric).set(value)
        if found.estimate is not None:
            self.estimate.labels(found.model, found.estimate.metric).set(found.estimate.value)
        self.last.labels(found.model).set(time.time())


def watch(request: MonitorRequest, host: str, port: int, page: Path | None) -> int:
    """Check for ever; ends with 0 on SIGTERM or Ctrl-C.

    Raises:
        UserError: MW-710 for a port that can't be taken, MW-801 without the extra `serve`.
    """
    prometheus = require("prometheus_client", "serve")
    manifest = read_bundle(request.bundle)
    name, gauges = manifest["name"], Gauges()
    gauges.begin(manifest, request)
    try:
        server, thread = prometheus.start_http_server(port, host, registry=gauges.registry)
    except OSError as error:
        raise UserError(
            "MW-710",
            f"{host}:{port} cannot be listened on: {error.strerror or error}",
            expected="a free port",
            fix="choose another one with --port",
        ) from None
    say(f"monitoring {name} every {request.every:g} s; http://{host}:{server.server_port}/metrics")
    try:
        with stop_requests() as stop:
            while not stop.raised:
                due = time.monotonic() + request.every
                if (other := promoted(request, manifest)) is not None:
                    manifest = read_bundle(other)
                    request = replace(request, bundle=other)
                    gauges.begin(manifest, request)
                    say(f"  {name} {manifest['version']} answers now: {other.name} is watched")
                _check(request, gauges, name, page)
                while not stop.raised and time.monotonic() < due:
                    time.sleep(_NAP_S)
    finally:
        server.shutdown()
        thread.join()
    return 0


def promoted(request: MonitorRequest, manifest: Mapping[str, Any]) -> Path | None:
    """The bundle beside the watched one that gave all of the latest answers, if one did."""
    columns = ("time", "model", "version")
    latest = read_latest(
        request.traffic, "requests", LATEST, 0.0, manifest["name"], columns=columns
    )
    versions = set(latest["version"].to_pylist())
    if latest.num_rows < LATEST or len(versions) != 1 or manifest["version"] in versions:
        return None
    for path in sorted(request.bundle.resolve().parent.glob(f"*/{MANIFEST}")):
        try:
            found, folder = read_bundle(path.parent), path.parent
        except (UserError, OSError):
            continue
        if found["name"] == manifest["name"] and found["version"] in versions:
            return folder
    return None


def _check(request: MonitorRequest, gauges: Gauges, name: str, page: Path | None) -> None:
    try:
        found = run(request)
    except Exception as error:  # noqa: BLE001 - who ends takes a pod's service along
        gauges.failed.labels(name).inc()
        kind = "" if isinstance(error, ModelwrightError) else f"{type(error).__name__}: "
        say(f"  no check: {kind}{error}")
        return
    gauges.tell(found)
    if page is not None:
        write_page(page, found)
    say(
        f"  {found.rows:,} rows: " + (f"alarm: {', '.join(found.alarms)}" if found.alarms else "ok")
    )
