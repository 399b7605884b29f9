"""The live service under requests that nobody would send, from its own /openapi.json.

    .venv/bin/python bench/fuzz.py --json OUT [--cases 20000] [--quick] [--bundle DIR] [--seed N]

`mw serve` runs as a process of its own with --bundle, or one made of the sample data. What is sent
and what answers must be is in _fuzzing.py. Afterwards the service must answer as before, and
hold no more memory, files and threads than after the first tenth of the requests.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from _fuzzing import Got, Send, Sent, Tally, UnsendableError, fuzz
from _report import ROOT, arguments, report, row, say
from _servers import OURS, Running, running
from startup import make_bundle

PARTS = 10
"""After each of them is looked at what the service holds."""
PATIENCE = 30.0
"""Seconds after which an answer counts as a hang."""
ASKED = {"inputs": ["where is my parcel?"], "parameters": {"scores": True}}


def main() -> None:
    """Parse, fuzz, report."""
    parser = arguments(__doc__, "500 requests, a bundle of a few steps", data=False)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "fuzz")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    cases = 500 if options.quick else options.cases
    with tempfile.TemporaryDirectory(prefix="modelwright-fuzz-") as name:
        bundle = options.bundle or make_bundle(Path(name), quick=options.quick)
        found = run(bundle, options.work, cases, options.seed)
    libraries = ("modelwright", "schemathesis", "hypothesis", "uvicorn", "starlette", "onnxruntime")
    report(
        "fuzz.py", rows_of(found), options.json, libraries,
        quick=options.quick, seed=options.seed, bundle=bundle.name, **found,
    )  # fmt: skip
    if found["faults"]:
        raise SystemExit(1)


def run(bundle: Path, work: Path, cases: int, start: int) -> dict[str, Any]:
    """Fuzz a service of this bundle; what came of it."""
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    filled = {"bundle": str(bundle), "variant": manifest["default"], "model": "", "plain": ""}
    log = work / "service.log"
    with running(OURS, filled, log) as live:
        with httpx.Client(base_url=f"http://127.0.0.1:{live.port}", timeout=PATIENCE) as http:
            document = http.get("/openapi.json").json()
            before = answer(http)
            began = time.monotonic()
            tallies, held = [], []
            for part in range(PARTS):
                sent = sum(tally.cases for tally in tallies)
                count = (cases - sent) // (PARTS - part)
                tallies.append(fuzz(document, sender(http), count, start + 1000 * part))
                held.append(holds(live))
                say(f"  {sent + tallies[-1].cases} requests in {time.monotonic() - began:.0f} s")
            seconds = time.monotonic() - began
            same = answer(http) == before
        held.append(holds(live))
    said = log.read_text(encoding="utf-8", errors="replace")
    return {
        **told(*tallies), "seconds": round(seconds, 1), "answers_as_before": same,
        "held": held,
        "failures_logged": said.count("the service failed"), "variant": manifest["default"],
    }  # fmt: skip


def told(*tallies: Tally) -> dict[str, Any]:
    """Several tallies as one."""
    statuses: dict[int, int] = {}
    for tally in tallies:
        for status, count in tally.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    return {
        "cases": sum(tally.cases for tally in tallies),
        "unsent": sum(tally.unsent for tally in tallies),
        "wrong": sum(tally.wrong for tally in tallies),
        "statuses": {str(status): statuses[status] for status in sorted(statuses)},
        "faults": [fault for tally in tallies for fault in tally.faults],
    }


def sender(http: httpx.Client) -> Send:
    """Sends by a client that keeps its connection."""

    def send(sent: Sent) -> Got:
        try:
            request = http.build_request(
                sent.method, sent.path, headers=dict(sent.headers), content=sent.body
            )
            response = http.send(request)
        except (httpx.LocalProtocolError, httpx.InvalidURL, UnicodeError) as error:
            raise UnsendableError from error
        except httpx.HTTPError as error:
            return Got(0, {}, b"", f"{type(error).__name__} {error}")
        return Got(response.status_code, response.headers, response.content)

    return send


def answer(http: httpx.Client) -> Any:
    """What a good request is answered, but for its id."""
    response = http.post("/v1/predict", json=ASKED)
    return response.status_code, response.json().get("predictions")


def holds(live: Running) -> dict[str, float]:
    """What its processes hold."""
    processes = [Path(f"/proc/{pid}") for pid in live.processes()]
    return {
        "memory_mb": round(live.memory_mb(), 1),
        "files": sum(len(list((one / "fd").iterdir())) for one in processes),
        "threads": sum(len(list((one / "task").iterdir())) for one in processes),
    }


def rows_of(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figures that were asked for."""
    none: dict[str, Any] = {"better": "lower", "at_least": 0, "aim": 0}
    held, after = found["held"][0], found["held"][-1]
    failed = sum(count for status, count in found["statuses"].items() if status in ("0", "500"))
    more = 100 * (after["memory_mb"] / held["memory_mb"] - 1)
    return [
        row("requests sent from the schema", found["cases"], "requests", at_least=20_000,
            aim=200_000, statuses=found["statuses"], unsent=found["unsent"]),
        row("failures (500), hangs and broken connections", failed, "requests", **none),
        row("answers that are otherwise wrong", found["wrong"] - failed, "requests", **none),
        row("memory's rise after the first tenth", max(0.0, more), "%", better="lower",
            at_least=5, aim=5),
        row("files and threads more than after the first tenth",
            max(0, after["files"] - held["files"]) + max(0, after["threads"] - held["threads"]),
            "", **none),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
