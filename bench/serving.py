"""The service under load, beside the services that users would pick instead.

    .venv/bin/python bench/serving.py --data DIR --json OUT [--quick] [--work DIR] [--no-peers]
        [--only NAME ...] [--bundle DIR] [--compressed DIR]

All serve one MiniLM-L6 fine-tuned on BANKING77, one service at a time on this machine, which the
load shares: closed loop at 1, 8, 64 and 256 clients, open loop at the rate that 64 clients reached
and at twice that, where an answer is worth something within 100 ms (who reads a header for it is
told), texts of the test set. FastAPI's pipeline and infinity-emb serve it in fp32 with
torch (that is what they do); the others our very int8 ONNX file. --bundle is the bundle of
recipes/banking77.yaml, which is trained into the work folder when it is not given; --compressed one
of recipes/banking77-compressed.yaml, whose rows are left out without it.
"""

from __future__ import annotations

import base64
import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _report import HERE, ROOT, arguments, environment, measure, report, row, say
from _sample import copy_some
from _servers import OURS, PEERS, Server, missing, running

CLIENTS = (1, 8, 64, 256)
SECONDS, QUICK_SECONDS = 8.0, 1.5
WITHIN_MS = 100
LONG_EVERY, LONG_WORDS = 20, 240
"""One request in twenty is of some 256 tokens, in the mix."""
INT8 = "onnx-int8"
QUICK_SETS = (
    "effort=quick", "base=scratch:tiny", "finetune.epochs=0.2", "evaluate.suites=[quality]",
    "package.max_drop=100",
)  # fmt: skip
FASTAPI = "FastAPI around transformers' pipeline"


def main() -> None:
    """Parse, measure, report."""
    parser = arguments(__doc__, "a tiny model, a second a load, installed peers only")
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "serving")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--compressed", type=Path)
    parser.add_argument("--only", nargs="*", help="titles of peers")
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    data = copy_some(options.data, options.work / "some", ["banking77"]) if options.quick else None
    data = (data or options.data).resolve()
    bundle = options.bundle or train(data, options.work, options.quick)
    bench = Bench(options.work, texts_of(data), QUICK_SECONDS if options.quick else SECONDS)
    filled = bench.handed(bundle)
    found = {OURS.title: bench.ours(bundle, INT8, filled)}
    if options.compressed:
        found["compressed"] = bench.ours(options.compressed, None, filled)
    chosen = [one for one in PEERS if not options.only or one.title in options.only]
    failed: dict[str, str] = {}
    for server in [] if options.no_peers else chosen:
        if why := missing(server, options.quick):
            failed[server.title] = why
            continue
        try:
            found[server.title] = bench.peer(server, filled)
        except SystemExit as error:
            failed[server.title] = str(error)
    libraries = ("modelwright", "onnxruntime", "openvino", "tokenizers", "uvicorn", "starlette")
    given = {one.title: one.peer.packages for one in PEERS if one.peer is not None}
    report(
        "serving.py", rows_of(found), options.json, libraries,
        quick=options.quick, measured=found, failed=failed, peers=given,
    )  # fmt: skip


def train(data: Path, work: Path, quick: bool) -> Path:
    """The bundle of the recipe; a second call finds it."""
    output = work / ("quick" if quick else "banking77")
    sets = [part for one in (QUICK_SETS if quick else ()) for part in ("--set", one)]
    say("  training the model that all serve")
    done = subprocess.run(
        [sys.executable, "-m", "modelwright", "run", str(ROOT / "recipes" / "banking77.yaml"),
         "-o", str(output), *sets],
        env=environment(MODELWRIGHT_DATA=str(data), MODELWRIGHT_STORE=str(work / "store")),
        stdout=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit("the recipe did not run")
    return output / "bundle"


def texts_of(data: Path) -> list[str]:
    """Texts of the test rows, in file order."""
    with (data / "banking77" / "test.csv").open(encoding="utf-8", newline="") as file:
        return [line["text"] for line in csv.DictReader(file)]


def with_long_ones(texts: Sequence[str]) -> list[tuple[str, str]]:
    """(group, text): one in twenty is made as long as the model reads."""
    words = " ".join(texts).split()
    found = []
    for place, text in enumerate(texts):
        if place % LONG_EVERY == 0:
            start = (place * 37) % max(1, len(words) - LONG_WORDS)
            found.append(("long", " ".join(words[start : start + LONG_WORDS])))
        else:
            found.append(("small", text))
    return found


@dataclass
class Bench:
    """What all services are measured with.

    Attributes:
        work: for files.
        texts: that are asked.
        seconds: of a load.
    """

    work: Path
    texts: list[str]
    seconds: float

    def handed(self, bundle: Path) -> dict[str, str]:
        """Folders that peers serve."""
        to = self.work / "handed"
        worker = [sys.executable, HERE / "workers" / "serving.py"]
        found = measure([*worker, "hand", "--bundle", bundle, "--variant", INT8, "--to", to])
        return {name: str(value) for name, value in found.items()}

    def ours(self, bundle: Path, variant: str | None, filled: dict[str, str]) -> dict[str, Any]:
        """Our service, its engine alone, and how it stands long requests and overload."""
        path = self.work / "texts.json"
        path.write_text(json.dumps(self.texts), encoding="utf-8")
        say(f"  {OURS.title}: {bundle}")
        name = ["--variant", variant] if variant else []
        worker = [sys.executable, HERE / "workers" / "serving.py"]
        alone = measure([*worker, "rate", "--bundle", bundle, "--texts", path, *name])
        filled = {**filled, "bundle": str(bundle), "variant": str(alone["variant"])}
        found = self.peer(OURS, filled, mixed=True)
        return {**found, "engine_per_second": alone["per_second"], "variant": alone["variant"]}

    def peer(self, server: Server, filled: dict[str, str], mixed: bool = False) -> dict[str, Any]:
        """One service through all loads."""
        say(f"  {server.title}")
        log = self.work / f"{server.title.split()[0].lower()}.log"
        with running(server, filled, log) as live:
            found: dict[str, Any] = {"ready_seconds": round(live.ready_seconds, 3), "closed": {}}
            small = [("small", text) for text in self.texts]
            plain = self._requests(server, live.port, small)
            for clients in CLIENTS:
                found["closed"][clients] = self._load(live.port, plain, clients=clients)
            rate = found["closed"][64]["per_second"]
            urgent = self._requests(server, live.port, small, WITHIN_MS)
            for times in (1, 2) if rate else ():
                found[f"open_{times}x"] = self._load(live.port, urgent, rate=times * rate)
            if mixed:
                both = self._requests(server, live.port, with_long_ones(self.texts))
                found["without_long"] = self._load(live.port, plain, clients=8)
                found["with_long"] = self._load(live.port, both, clients=8)
            found["memory_mb"] = round(live.memory_mb(), 1)
        return found

    def _requests(
        self, server: Server, port: int, texts: Sequence[tuple[str, str]], within_ms: int = 0
    ) -> Path:
        path = self.work / f"requests-{len({group for group, _ in texts})}-{within_ms}.txt"
        lines = (
            f"{group} {base64.b64encode(server.request(text, port, within_ms)).decode()}"
            for group, text in texts
        )
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def _load(
        self, port: int, requests: Path, clients: int = 0, rate: float = 0.0
    ) -> dict[str, Any]:
        return measure(
            [sys.executable, HERE / "workers" / "load.py", "--port", str(port),
             "--requests", requests, "--seconds", str(self.seconds),
             "--clients", str(clients), "--rate", str(rate)]
        )  # fmt: skip


# -- rows -----------------------------------------------------------------------------------------
def rows_of(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The figures that were asked for, then one row a service and load."""
    ours, compressed = found[OURS.title], found.get("compressed")
    batching = {
        name: one for name, one in found.items() if name not in (OURS.title, "compressed", FASTAPI)
    }
    rows: list[dict[str, Any]] = []
    if FASTAPI in found:
        rows.append(_against(ours, FASTAPI, found[FASTAPI], "int8", (16, 40)))
        if compressed:
            rows.append(_against(compressed, FASTAPI, found[FASTAPI], "compressed", (30, 80)))
    if batching:
        best = max(batching, key=lambda name: _rate(batching[name]))
        rows.append(_against(ours, best, batching[best], "int8, best batching peer", (1.5, 3)))
        quickest = min(batching, key=lambda name: _p50(batching[name]))
        rows.append(
            row(
                "p50 at 1 client, best batching peer",
                _p50(ours),
                "ms",
                better="lower",
                judged="ratio",
                peer=quickest,
                peer_value=_p50(batching[quickest]),
                at_least=1.2,
                aim=2,
            )
        )
    return [*rows, *_own(ours), *_every(found)]


def _own(ours: dict[str, Any]) -> list[dict[str, Any]]:
    share = 100 * _rate(ours) / ours["engine_per_second"]
    once, twice = ours.get("open_1x", {}), ours.get("open_2x", {})
    kept = 100 * twice["goodput"] / once["goodput"] if once.get("goodput") else None
    small = [ours[name]["groups"]["small"]["p99_ms"] for name in ("with_long", "without_long")]
    return [
        row("64 clients over the engine's own rate", share, "%", at_least=50, aim=75),
        row("goodput at twice the saturating rate over that at it", kept, "%", at_least=80, aim=95),
        row(
            "p99 of small requests with 5% of 256 tokens over that without, 8 clients",
            small[0] / small[1], "times", better="lower", at_least=3, aim=1.5,
        ),
        row("ready after start", ours["ready_seconds"], "s", better="lower", at_least=3, aim=1),
        row(
            "memory of the serving process", ours["memory_mb"], "MiB", better="lower",
            at_least=400, aim=200,
        ),
    ]  # fmt: skip


def _against(
    ours: dict[str, Any], peer: str, theirs: dict[str, Any], what: str, asked: tuple[float, float]
) -> dict[str, Any]:
    return row(
        f"requests a second at 64 clients, {what}", _rate(ours), "requests/s", judged="ratio",
        peer=peer, peer_value=_rate(theirs), at_least=asked[0], aim=asked[1],
    )  # fmt: skip


def _every(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for name, one in found.items():
        for clients, load in one["closed"].items():
            more = {key: load[key] for key in ("p50_ms", "p99_ms", "goodput", "errors")}
            rows.append(row(f"{name}, {clients} clients", load["per_second"], "requests/s", **more))
    return rows


def _rate(one: dict[str, Any]) -> float:
    return float(one["closed"][64]["per_second"])


def _p50(one: dict[str, Any]) -> float:
    return float(one["closed"][1]["p50_ms"] or float("inf"))


if __name__ == "__main__":
    main()
