"""`mw monitor` beside a service whose recipe allows recording: its words, and what it may take.

It has the service's image, reads the traffic and writes nothing. What it takes follows from the
service's measurement, for a check opens the same model and runs the window's rows through it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from modelwright.artifacts.traffic import FLUSH_ROWS
from modelwright.deploy.imaging import TRAFFIC
from modelwright.deploy.ordering import Order
from modelwright.deploy.sizing import Figure
from modelwright.tasks import restore_task

MONITOR_PORT = 9109
CHECK_SECONDS = 6.0
"""Of a core, beside the rows themselves: opening the model, counting, finding what feedback is of;
measured with a model of almost no size."""
KEPT_MB, MOST_MB = 192, 512
"""Beside the model, between two checks and at most in one: 180 and 280 MiB were measured with 40,000
recorded answers and 8,000 true ones; up to 200,000 and 20,000 are read."""
ROW_MB, PICTURE_MB = 0.004, 0.2
"""Of a recorded row while it is read and sorted: texts of 1 kB, pictures of 100 kB."""
MOST_VECTORS = 2_000
"""Rows of a window that the model sees."""
HEALTH = (
    f"import urllib.request as u; u.urlopen('http://127.0.0.1:{MONITOR_PORT}/metrics', timeout=4)"
)
"""A program that fails while the monitor does not answer."""


@final
@dataclass(frozen=True)
class Beside:
    """What a monitor is given.

    Attributes:
        millicores: processor time to reserve, thousandths of a core.
        most_millicores: at most.
        reserved_mb: memory to reserve.
        most_mb: memory at which the process is ended.
    """

    millicores: Figure
    most_millicores: Figure
    reserved_mb: Figure
    most_mb: Figure


def job(order: Order) -> str:
    """Name of the scrape job, by which the rules know it."""
    return f"{order.title}-monitor"


def words(
    order: Order, bundle: str = "/bundle", traffic: str = TRAFFIC, host: str = "0.0.0.0"
) -> list[str]:
    """What is called: `mw monitor`; in a container it is reached from others."""
    found = ["mw", "monitor", bundle, "--variant", order.variant, "--traffic", traffic]
    found += ["--every", f"{order.monitor.every_s:.10g}"]
    return [*found, "--host", host, "--port", str(MONITOR_PORT)]


def beside(order: Order) -> Beside:
    """All numbers of a monitor."""
    capacity = order.capacity
    best = min(capacity.loads, key=lambda load: abs(load.rate - capacity.per_second))
    every, memory = order.monitor.every_s, capacity.memory_mb
    rows = min(order.monitor.rows, MOST_VECTORS)
    work = rows * best.cpu / capacity.per_second + CHECK_SECONDS
    taken = (
        f"a check takes {rows:,} rows x {best.cpu:.2f} cores / {capacity.per_second:,.1f} requests/s "
        f"+ {CHECK_SECONDS:g} s = {work:,.0f} s of a core"
    )
    most = min(1000 * capacity.cores, max(500, _up(4 * 1000 * work / every, 100)))
    read = 4 * order.monitor.rows + FLUSH_ROWS
    each = PICTURE_MB if _records_pictures(order) else ROW_MB
    return Beside(
        millicores=Figure(
            min(most, _up(1000 * work / every, 10)),
            f"{taken},\nevery {every:,.10g} s; rounded up",
        ),
        most_millicores=Figure(
            most, f"a check is over in {1000 * work / most:,.0f} s, and the model keeps its cores"
        ),
        reserved_mb=Figure(
            _up(memory + KEPT_MB, 64),
            f"{memory:,.0f} MiB of the service, for it opens the same model, + {KEPT_MB} MiB of rows",
        ),
        most_mb=Figure(
            _up(1.25 * memory + MOST_MB + read * each, 64),
            f"1.25 x {memory:,.0f} MiB + {MOST_MB} MiB of true answers and what they are of\n"
            f"+ {read:,} rows of {each:g} MiB, rounded up",
        ),
    )


def notes(order: Order, replicas: bool = True) -> str:
    """What a README says of it; nothing where nothing is recorded."""
    if not order.records:
        return ""
    several = (
        "  Each monitor sees the traffic of its own replica alone: rules take the largest score of all,\n"
        "  and `false_alarms_per_day` holds for each replica.\n"
        if replicas
        else ""
    )
    every = f"{order.monitor.every_s:,.10g}"
    return (
        f"- `mw monitor` runs beside the service and checks every {every} s; port {MONITOR_PORT} is "
        f"for Prometheus.\n{several}"
    )


def _records_pictures(order: Order) -> bool:
    inputs = bool(order.manifest["serve"]["record"].get("inputs"))
    return inputs and restore_task(order.manifest["task_spec"]).modality == "image"


def _up(value: float, step: int) -> int:
    return step * max(1, math.ceil(value / step - 1e-9))
