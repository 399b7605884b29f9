"""The same check every so often, told to Prometheus; a check that fails is told and made again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, final

from modelwright.artifacts.bundle import read_bundle
from modelwright.errors import ModelwrightError, UserError
from modelwright.monitor.page import write_page
from modelwright.monitor.quality import floor
from modelwright.monitor.stage import LEAST_ROWS, Findings, MonitorRequest, run
from modelwright.runtime.device import stop_requests
from modelwright.runtime.libraries import require
from modelwright.runtime.progress import say

REQUIRES = {"prometheus_client": "serve"}
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
    for metric in ("accuracy", "exact_match", "mae"):
        if (lowest := floor(manifest, metric, request.tolerance)) is not None:
            gauges.floor.labels(name, metric).set(lowest)
    gauges.period.labels(name).set(request.every)
    gauges.failed.labels(name)
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
                _check(request, gauges, name, page)
                while not stop.raised and time.monotonic() < due:
                    time.sleep(_NAP_S)
    finally:
        server.shutdown()
        thread.join()
    return 0


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
