"""The service over a long time, near its limit, with hostile requests among the others.

    .venv/bin/python bench/soak.py --json OUT [--minutes 30] [--quick] [--bundle DIR] [--seed N]

The rate at which the service is saturated is measured first (closed loop, 64 clients). Then it is
asked at 70% of that for as long as asked for; 2% of the requests are of the kinds in
workers/hostile.py. Its memory (PSS) is read every few seconds; the drift is that of a line through
the readings after the first tenth. The bundle is --bundle, or one made of the sample data.
"""

from __future__ import annotations

import base64
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _report import HERE, ROOT, SOURCE, arguments, environment, measure, report, row, say
from _servers import OURS, Running, running
from startup import make_bundle

SHARE, HOSTILE = 0.7, 0.02
CLIENTS, SECONDS = 64, 10.0
SETTLED = 0.1
"""Part of the time whose readings of memory are not judged: caches fill."""


def main() -> None:
    """Parse, soak, report."""
    parser = arguments(__doc__, "one minute, a bundle of a few steps", data=False)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "soak")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    minutes = 1.0 if options.quick else options.minutes
    with tempfile.TemporaryDirectory(prefix="modelwright-soak-") as name:
        bundle = options.bundle or make_bundle(Path(name), quick=options.quick)
        found = soak(bundle, options.work, 60.0 * minutes, options.seed)
    libraries = ("modelwright", "onnxruntime", "openvino", "tokenizers", "uvicorn", "starlette")
    report(
        "soak.py", rows_of(found), options.json, libraries,
        quick=options.quick, minutes=minutes, seed=options.seed, bundle=bundle.name, **found,
    )  # fmt: skip


def soak(bundle: Path, work: Path, seconds: float, seed: int) -> dict[str, Any]:
    """Measure the saturating rate, then soak."""
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    filled = {"bundle": str(bundle), "variant": manifest["default"], "model": "", "plain": ""}
    with running(OURS, filled, work / "service.log") as live:
        requests = requests_of(work, live.port)
        most = measure(
            [sys.executable, HERE / "workers" / "load.py", "--port", str(live.port), "--requests",
             requests, "--clients", str(CLIENTS), "--seconds", str(SECONDS)]
        )["per_second"]  # fmt: skip
        rate = SHARE * float(most)
        say(f"  {most} requests a second saturate it; {rate:.1f} for {seconds / 60:g} minutes")
        worker = subprocess.Popen(
            [sys.executable, str(HERE / "workers" / "soak.py"), "--port", str(live.port),
             "--model", manifest["name"], "--requests", str(requests), "--rate", str(rate),
             "--hostile", str(HOSTILE), "--seconds", str(seconds), "--seed", str(seed)],
            env=environment(), stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        samples = watched(live, worker, seconds)
        said, _ = worker.communicate()
        if worker.returncode or live.process.poll() is not None:
            raise SystemExit(f"it ended early: {(work / 'service.log').read_text()[-2000:]}")
    failures = (work / "service.log").read_text(encoding="utf-8").count("the service failed")
    return {
        **json.loads(said), "saturating": most, "rate": round(rate, 2), "memory_mb": samples,
        "variant": manifest["default"], "failures_logged": failures,
    }  # fmt: skip


def requests_of(work: Path, port: int) -> Path:
    """The sample texts as requests, a line each."""
    path = work / "requests.txt"
    source = SOURCE / "modelwright" / "samples" / "helpdesk" / "test.csv"
    with source.open(encoding="utf-8", newline="") as file:
        texts = [line["text"] for line in csv.DictReader(file)]
    lines = (f"good {base64.b64encode(OURS.request(text, port)).decode()}\n" for text in texts)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def watched(
    live: Running, worker: subprocess.Popen[str], seconds: float
) -> list[tuple[float, float]]:
    """(seconds, MiB) while the worker runs, some hundred of them."""
    began, pause = time.monotonic(), max(0.5, seconds / 200)
    samples = []
    while worker.poll() is None:
        samples.append((round(time.monotonic() - began, 1), round(live.memory_mb(), 2)))
        time.sleep(pause)
    return samples


def drift(samples: Sequence[tuple[float, float]]) -> float | None:
    """Percent by which a line through the later readings rises or falls from its begin to its end."""
    end = samples[-1][0] if samples else 0.0
    later = [(at, size) for at, size in samples if at >= SETTLED * end]
    if len(later) < 3:
        return None
    middle = sum(at for at, _ in later) / len(later)
    mean = sum(size for _, size in later) / len(later)
    spread = sum((at - middle) ** 2 for at, _ in later)
    slope = sum((at - middle) * (size - mean) for at, size in later) / spread
    first = mean + slope * (later[0][0] - middle)
    return 100 * slope * (later[-1][0] - later[0][0]) / first


def rows_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The figures that were asked for."""
    change = drift(found["memory_mb"])
    lost = sum(found["lost"].values())
    wrong = sum(sum(seen.values()) for seen in found["hostile_wrong"].values())
    hostile = sum(sum(seen.values()) for seen in found["hostile"].values())
    rise = None if change is None else max(0.0, change)
    asked: dict[str, Any] = {"better": "lower", "at_least": 0, "aim": 0}
    return [
        row("memory's rise over the soak", rise, "%", better="lower", at_least=5, aim=5,
            drift=change),
        row("good requests lost", lost, "requests", **asked, answered=found["answered"],
            refused=found["refused"], not_sent=found["not_sent"]),
        row("hostile requests answered otherwise than is right", wrong, "requests", **asked,
            hostile=hostile),
        row("failures logged", found["failures_logged"], "requests", **asked),
        row("p99 at 70% of the saturating rate", found["p99_ms"], "ms", better="lower"),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
