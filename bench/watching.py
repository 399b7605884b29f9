"""How soon an alert comes: from a shift's begin until Alertmanager's webhook is called.

    .venv/bin/python bench/watching.py --data DIR --json OUT [--quick] [--bundle DIR]

A real `mw serve` is asked 20 times a second; a real Prometheus scrapes it and evaluates the product's
own rules, a real Alertmanager posts to a receiver of this program. Time runs 120 times faster in the
rules and in Alertmanager's waits (scraped and evaluated every half second), so that the rules' short
window of five minutes is 2.5 seconds and the long one of an hour 30, all of which are filled with
normal traffic first. Then, at a random moment, the traffic shifts. The bundle is --bundle, or one made
here from the sample data of the package. Needs `prometheus` and `alertmanager`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from _report import SOURCE, arguments, environment, report, row, say
from startup import make_bundle

if str(SOURCE) not in sys.path:
    sys.path.insert(0, str(SOURCE))

FASTER, EVERY_S = 120.0, 0.5
SHORT_S, LONG_S = 300 / FASTER, 3600 / FASTER
RATE = 20.0
RUNS, QUICK_RUNS = 3, 1
LIMIT_S = 8 * SHORT_S
P99_MS = 100.0
TEXTS = ("where is my parcel", "I want my money back", "how do I close my account")
LONG = "I ordered it two weeks ago and nobody answers my letters about it. " * 12
WHAT = "alert from the shift's begin, real Prometheus and Alertmanager, test intervals"
Ask = Callable[[random.Random], tuple[list[str], dict[str, str]]]
"""The inputs and the headers of the next request."""


def usual(_: random.Random) -> tuple[list[str], dict[str, str]]:
    """Three short texts."""
    return list(TEXTS), {}


def late(_: random.Random) -> tuple[list[str], dict[str, str]]:
    """A deadline that nobody can keep: 503 or 504."""
    return [LONG] * 40, {"x-deadline-ms": "1"}


def sometimes_late(chance: random.Random) -> tuple[list[str], dict[str, str]]:
    """One request of five fails."""
    return late(chance) if chance.random() < 0.2 else usual(chance)


def slow(_: random.Random) -> tuple[list[str], dict[str, str]]:
    """As many long texts as take longer than promised."""
    return [LONG] * 120, {}


@dataclass(frozen=True)
class Shift:
    """What changes, and the alert that tells of it."""

    title: str
    ask: Ask
    alert: str


SHIFTS = (
    Shift("every request fails", late, "AvailabilityBurnFast"),
    Shift("one of five requests fails", sometimes_late, "AvailabilityBurnFast"),
    Shift("answers take longer than promised", slow, "LatencyBurnFast"),
)


def main() -> None:
    """Parse, measure, report."""
    parser = arguments(__doc__, f"{QUICK_RUNS} run of each shift, a bundle of a few steps")
    parser.add_argument("--bundle", type=Path, help="a bundle of texts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="modelwright-watching-") as name:
        folder = Path(name)
        bundle = options.bundle or make_bundle(folder, quick=options.quick)
        delays = measured(bundle, folder, QUICK_RUNS if options.quick else RUNS)
    rows = [overall(delays), *(of_shift(shift, delays[shift.title]) for shift in SHIFTS)]
    conditions = {"faster": FASTER, "scrape_s": EVERY_S, "window_s": SHORT_S, "rate": RATE}
    libraries = ("modelwright", "prometheus-client", "onnxruntime")
    programs = {name: version(name) for name in ("prometheus", "alertmanager")}
    report("watching.py", rows, options.json, libraries, conditions=conditions, programs=programs)


def overall(delays: Mapping[str, list[float]]) -> dict[str, Any]:
    """The latest of all alerts."""
    worst = max(value for values in delays.values() for value in values)
    return row(
        WHAT, worst / SHORT_S, "evaluation windows", better="lower", at_least=2, aim=1,
        note="the latest of all; a window is the rules' short one, 5 minutes at the real pace",
        seconds=round(worst, 3), intervals=round(worst / EVERY_S, 2),
    )  # fmt: skip


def of_shift(shift: Shift, seconds: list[float]) -> dict[str, Any]:
    """The median of a shift's alerts."""
    return row(
        f"{shift.title}: {shift.alert}", median(seconds) / SHORT_S, "evaluation windows",
        better="lower", seconds=[round(value, 3) for value in seconds],
    )  # fmt: skip


def measured(bundle: Path, folder: Path, runs: int) -> dict[str, list[float]]:
    """Seconds from each shift's begin to its alert, by title."""
    found: dict[str, list[float]] = {shift.title: [] for shift in SHIFTS}
    with service(bundle) as url:
        for number in range(runs):
            for shift in SHIFTS:
                place = folder / f"{number}-{shift.alert}-{shift.ask.__name__}"
                seconds = one(bundle, url, shift, place)
                say(f"{shift.title}: {seconds:.2f} s, {seconds / SHORT_S:.2f} windows")
                found[shift.title].append(seconds)
    return found


def one(bundle: Path, url: str, shift: Shift, folder: Path) -> float:
    """Fresh Prometheus and Alertmanager, a long window of normal traffic, then the shift."""
    from modelwright.artifacts.bundle import read_bundle
    from modelwright.deploy import watching
    from modelwright.recipe.schema import Slo
    from modelwright.testing.watched import Receiver, alertmanager, prometheus

    manifest = read_bundle(bundle)
    rules = watching.rules(manifest, Slo(p99_ms=P99_MS))
    rules = watching.hastened(rules, FASTER, least=4 * EVERY_S)
    target = {
        "job_name": manifest["name"],
        "static_configs": [{"targets": [url.removeprefix("http://")]}],
    }
    chance = random.Random(folder.name)
    with (
        Receiver() as receiver,
        alertmanager(folder, watching.alertmanager(receiver.url), FASTER) as sender,
        prometheus(folder, rules, [target], sender, EVERY_S),
        Traffic(url, chance) as traffic,
    ):
        time.sleep(LONG_S + chance.random() * SHORT_S)
        if shift.alert in receiver.names():
            raise SystemExit(f"{shift.alert} came before the shift")
        traffic.ask = shift.ask
        began = time.monotonic()
        arrived, _ = receiver.wait(shift.alert, LIMIT_S)
    return arrived - began


class Traffic:
    """Callers who ask at an even rate, whatever the answer."""

    def __init__(self, url: str, chance: random.Random) -> None:
        self.ask: Ask = usual
        self._url, self._chance, self._done = f"{url}/v1/predict", chance, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._open: list[threading.Thread] = []

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        for one in self._open:
            one.join()

    def _run(self) -> None:
        while not self._done.wait(1 / RATE):
            sender = threading.Thread(target=self._send, args=self.ask(self._chance))
            sender.start()
            self._open = [one for one in self._open if one.is_alive()] + [sender]

    def _send(self, inputs: list[str], headers: dict[str, str]) -> None:
        body = json.dumps({"inputs": inputs}).encode()
        told = {"content-type": "application/json", **headers}
        with suppress(urllib.error.HTTPError):
            urllib.request.urlopen(urllib.request.Request(self._url, body, told), timeout=60).read()


@contextmanager
def service(bundle: Path) -> Iterator[str]:
    """The product's own service; gives its address."""
    command = [sys.executable, "-m", "modelwright", "serve", str(bundle), "--port", "0", "--json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment()
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        yield json.loads(line)["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def version(name: str) -> str:
    """What a program says of itself."""
    from modelwright.testing.watched import program

    found = program(name)
    if found is None:
        raise SystemExit(f"{name} is not installed")
    done = subprocess.run(
        [found, "--version"], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    return (done.stdout or done.stderr).split("(")[0].strip()


if __name__ == "__main__":
    main()
