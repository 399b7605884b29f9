"""How soon an alert comes: from a shift's begin until Alertmanager's webhook is called.

    .venv/bin/python bench/watching.py --data DIR --json OUT [--quick] [--bundle DIR]

A real `mw serve` is asked at an even rate; a real Prometheus scrapes it and evaluates the product's own
rules, a real Alertmanager posts to a receiver of this program. Then, at a random moment, the traffic
shifts.

Drift: `mw monitor` looks at the last 200 rows every 20 seconds; from the shift on, inputs are of
another topic (BANKING77 instead of the helpdesk that the bundle was made from). An evaluation window is
those 20 seconds. Recorded rows are written every second instead of every 30.

Promises: time runs 120 times faster in the rules and in Alertmanager's waits, so that the short window
of five minutes is 2.5 seconds and the long one of an hour 30, filled with normal traffic first. An
evaluation window is the short one. How soon they can come follows from their limits: 14.4 times the
even pace for an hour is 52 seconds of failing at 0.999, and 8.6 minutes of being too slow at 99 of 100.

The bundle is --bundle (one that records, `serve.record`), or one made here from the sample data of the
package. Needs `prometheus` and `alertmanager`.
"""

from __future__ import annotations

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
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
PERIOD_S, ROWS, CHECKS = 20.0, 200, 1
RATE, SLOW_RATE = 20.0, 3.0
RUNS, QUICK_RUNS = 3, 1
LIMIT_S = 60.0
P99_MS = 50.0
TEXTS = ("where is my parcel", "I want my money back", "how do I close my account")
LONG = "I ordered it two weeks ago and nobody answers my letters about it. " * 6
RECORD = ("serve.record={share: 1.0, inputs: true}", f"serve.slo.p99_ms={P99_MS}")
WHAT = "alert from the shift's begin, real Prometheus and Alertmanager, test intervals"
SERVE = """import sys
from modelwright.artifacts import traffic
traffic.FLUSH_S = 1.0
from modelwright.cli.main import main
main(sys.argv[1:])
"""
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


def texts_of(texts: Sequence[str]) -> Ask:
    """Three of these."""
    return lambda chance: (chance.sample(texts, 3), {})


@dataclass(frozen=True)
class Shift:
    """What changes, and the alert that tells of it.

    Attributes:
        title: in words.
        before: traffic before it.
        after: and after it.
        alert: regular expression of its name.
        window_s: seconds of an evaluation window.
        rate: requests a second.
        before_s: seconds of the traffic before.
    """

    title: str
    before: Ask
    after: Ask
    alert: str
    window_s: float = SHORT_S
    rate: float = RATE
    before_s: float = LONG_S


def main() -> None:
    """Parse, measure, report."""
    parser = arguments(__doc__, f"{QUICK_RUNS} run of each shift, a bundle of a few steps")
    parser.add_argument("--bundle", type=Path, help="a bundle of texts")
    parser.add_argument(
        "--only", default="", help="shifts whose title has this; rows of others stay"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="modelwright-watching-") as name:
        folder = Path(name)
        bundle = options.bundle or make_bundle(folder, quick=options.quick, more=RECORD)
        runs = QUICK_RUNS if options.quick else RUNS
        delays = measured(bundle, options.data, folder, runs, options.only)
    rows = [of_shift(shift, seconds) for shift, seconds in delays]
    fresh = {line["what"] for line in rows}
    if options.only and options.json.is_file():
        before = json.loads(options.json.read_text(encoding="utf-8"))["rows"]
        rows += [line for line in before if line["what"] not in fresh]
    rows.sort(key=lambda line: line["what"] != WHAT)
    conditions = {
        "faster": FASTER, "scrape_s": EVERY_S, "short_window_s": SHORT_S, "period_s": PERIOD_S,
        "rows": ROWS, "rate": RATE,
    }  # fmt: skip
    libraries = ("modelwright", "prometheus-client", "onnxruntime")
    programs = {name: version(name) for name in ("prometheus", "alertmanager")}
    report("watching.py", rows, options.json, libraries, conditions=conditions, programs=programs)


def of_shift(shift: Shift, seconds: list[float]) -> dict[str, Any]:
    """The latest of a shift's alerts; of drift, in the words of the figure asked for."""
    drift = "Drift" in shift.alert
    asked = {"at_least": 2, "aim": 1} if drift else {}
    return row(
        WHAT if drift else f"{shift.title}: {shift.alert}", max(seconds) / shift.window_s, "evaluation windows",
        better="lower", note="the latest of all runs", shift=shift.title, **asked, window_s=shift.window_s,
        seconds=[round(value, 3) for value in seconds], median_s=round(median(seconds), 3),
    )  # fmt: skip


def shifts(url: str, data: Path) -> Iterator[Shift]:
    """Drift first, before anything else is recorded; then the promises."""
    known = column(SOURCE / "modelwright" / "samples" / "helpdesk" / "test.csv", "text")
    foreign = column(data / "banking77" / "test.csv", "text")
    yield Shift(
        "inputs are of another topic", texts_of(known), texts_of(foreign),
        "(Input|Prediction|Embedding)Drift", PERIOD_S, RATE, CHECKS * PERIOD_S,
    )  # fmt: skip
    yield Shift("every request fails", usual, late, "AvailabilityBurnFast")
    yield Shift("one of five requests fails", usual, sometimes_late, "AvailabilityBurnFast")
    slow = "every answer takes longer than promised"
    yield Shift(slow, usual, too_slow(url), "LatencyBurnFast", rate=SLOW_RATE)


def column(file: Path, name: str) -> list[str]:
    """The values of a column."""
    with file.open(encoding="utf-8", newline="") as opened:
        return [one[name] for one in csv.DictReader(opened)]


def too_slow(url: str) -> Ask:
    """As many long texts as take four times what is promised on this machine."""
    count = 1
    while count < 1000:
        began = time.monotonic()
        send(url, [LONG] * count, {})
        seconds = time.monotonic() - began
        if seconds > 4 * P99_MS / 1000:
            break
        count = max(count + 1, round(count * min(4.0, 4.4 * P99_MS / 1000 / seconds)))
    return lambda _: ([LONG] * count, {})


def measured(
    bundle: Path, data: Path, folder: Path, runs: int, only: str
) -> list[tuple[Shift, list[float]]]:
    """Each shift with the seconds from its begin to its alert."""
    found: list[tuple[Shift, list[float]]] = []
    with service(bundle, folder / "traffic") as url:
        for shift in (one for one in shifts(url, data) if only in one.title):
            found.append((shift, []))
            for number in range(runs):
                place = folder / f"{len(found)}-{number}"
                seconds = one(bundle, url, shift, place)
                say(f"{shift.title}: {seconds:.2f} s, {seconds / shift.window_s:.2f} windows")
                found[-1][1].append(seconds)
    return found


def one(bundle: Path, url: str, shift: Shift, folder: Path) -> float:
    """Fresh Prometheus and Alertmanager, normal traffic, then the shift."""
    from modelwright.artifacts.bundle import read_bundle
    from modelwright.deploy import watching
    from modelwright.recipe.schema import Slo
    from modelwright.testing.watched import Receiver, alertmanager, prometheus

    for old in (folder.parent / "traffic").glob("*.parquet"):
        old.unlink()
    manifest = read_bundle(bundle)
    name, chance = manifest["name"], random.Random(folder.name)
    rules = watching.rules(manifest, Slo(p99_ms=P99_MS))
    rules = watching.hastened(rules, FASTER, least=4 * EVERY_S)
    targets = [target(name, url)]
    with (
        ExitStack() as stack,
        Receiver() as receiver,
        alertmanager(folder, watching.alertmanager(receiver.url), FASTER) as sender,
        Traffic(url, shift, chance) as traffic,
    ):
        if "Drift" in shift.alert:
            watcher = stack.enter_context(monitor(bundle, folder.parent / "traffic"))
            targets.append(target(f"{name}-monitor", watcher))
        stack.enter_context(prometheus(folder, rules, targets, sender, EVERY_S))
        time.sleep(shift.before_s + chance.random() * shift.window_s)
        early = [one for one in receiver.names() if re.fullmatch(shift.alert, one)]
        if early:
            raise SystemExit(f"{early} came before the shift")
        traffic.ask = shift.after
        began = time.monotonic()
        arrived, _ = receiver.wait(shift.alert, LIMIT_S)
    return arrived - began


def target(name: str, url: str) -> dict[str, Any]:
    """An entry of `scrape_configs`."""
    return {
        "job_name": name, "static_configs": [{"targets": [url.removeprefix("http://")]}],
    }  # fmt: skip


class Traffic:
    """Callers who ask at an even rate, whatever the answer."""

    def __init__(self, url: str, shift: Shift, chance: random.Random) -> None:
        self.ask, self._rate = shift.before, shift.rate
        self._url, self._chance, self._done = url, chance, threading.Event()
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
        while not self._done.wait(1 / self._rate):
            sender = threading.Thread(target=send, args=(self._url, *self.ask(self._chance)))
            sender.start()
            self._open = [one for one in self._open if one.is_alive()] + [sender]


def send(url: str, inputs: list[str], headers: dict[str, str]) -> None:
    """One request, whatever its answer."""
    body = json.dumps({"inputs": inputs}).encode()
    told = {"content-type": "application/json", **headers}
    request = urllib.request.Request(f"{url}/v1/predict", body, told)
    with suppress(urllib.error.HTTPError):
        urllib.request.urlopen(request, timeout=60).read()


@contextmanager
def service(bundle: Path, traffic: Path) -> Iterator[str]:
    """The product's own service, which writes what it records every second; gives its address."""
    command = [sys.executable, "-c", SERVE, "serve", str(bundle), "--port", "0", "--json"]
    with running([*command, "--traffic", str(traffic)]) as process:
        line = process.stdout.readline() if process.stdout else ""
        yield json.loads(line)["url"]


@contextmanager
def monitor(bundle: Path, traffic: Path) -> Iterator[str]:
    """`mw monitor` beside it, which looks every so often; gives its address."""
    from modelwright.testing.watched import free_port

    port = free_port()
    command = [
        *(sys.executable, "-m", "modelwright", "monitor", str(bundle), "--traffic", str(traffic)),
        *("--rows", str(ROWS), "--every", str(PERIOD_S), "--port", str(port)),
    ]
    with running(command):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process until the block ends."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment()
    )
    try:
        yield process
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
