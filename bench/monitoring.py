"""Drift: planted shifts found, false alarms, seconds, cost in the service; ours and Evidently's defaults.

    .venv/bin/python bench/monitoring.py --data DIR --json OUT --bundle DIR [--quick] [--no-peers]
        [--part detection|seconds|cost]...

--bundle is one of recipes/banking77.yaml. Windows and references are real rows (see _streams.py). The
limit is one false alarm in a hundred days of hourly checks, all signals together. A shift counts as
found when 9 of 10 of its windows alarm:

  foreign topic        a tenth of the rows are from CLINC150
  slips in all rows    a neighbouring key in 5% of the letters of every row
  label prior halved   half of the labels have half of their share, the others 1.5 times theirs
  language             a tenth of the rows are German captions (Multi30k)

and, milder: slips in 5% of the rows alone; half of the labels lose half of their rows, which is shares of
2/3 and 4/3. Evidently gets the same windows and references as text, label, score and length, and judges
them by its preset for drift of data, at its defaults: it alarms where it says that the dataset drifted;
how often at least one of its columns did is told beside it. Ours is told with vectors, and without them.

Cost: one service with `--traffic` (every request recorded, inputs too) and one without, asked in turns;
and the processor time of one check of 1,000 rows, as a share of an hour. A part that is not measured
keeps its rows in OUT.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from _peers import Peer, install, python_of
from _report import HERE, arguments, environment, measure, report, row, say
from _servers import Running, Server, ours, running
from _streams import FOUR, MILDER, NORMAL, SHIFTS, Window, World, read
from scipy.stats import beta
from startup import mw

from modelwright.monitor import reference as references
from modelwright.monitor.quality import estimated
from modelwright.monitor.reference import Reference
from modelwright.monitor.sketches import score
from modelwright.monitor.stage import MonitorRequest, examine, limit

SIZES = (500, 1_000)
CHECKS = 24
REPEATS, NORMALS = 40, 2_000
PEER_REPEATS, PEER_NORMALS = 20, 100
TIMED = 10
ROUNDS, SECONDS, CLIENTS = 12, 3.0, 32
PARTS = ("detection", "seconds", "cost")
TITLE = "Evidently's defaults"
PEER = Peer(
    "evidently", TITLE, ("evidently==0.7.23", "pandas==2.3.3"), "the same rows", torch=False
)
OF_VECTORS = frozenset({"embedding", "topics"})
REQUEST = MonitorRequest(Path(), Path())
RECORDING = {"record": {"share": 1.0, "inputs": True}}


def main() -> None:
    """Parse, measure, report."""
    parser = arguments(__doc__, "few rows, few windows, no peer")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--part", action="append", choices=PARTS)
    options = parser.parse_args()
    parts = options.part or list(PARTS)
    failed: dict[str, str] = {}
    peers = not options.quick and not options.no_peers
    if peers and parts != ["cost"] and (why := install(PEER)):
        failed, peers = {TITLE: why}, False
    kept = kept_of(options.json, parts)
    measured: dict[str, Any] = kept["measured"]
    rows: list[dict[str, Any]] = []
    world = None if parts == ["cost"] else World(options.data, options.bundle, options.quick)
    for part in parts:
        say(f"  {part}")
        if part == "cost":
            measured[part] = cost(options.data, options.bundle, options.quick)
            rows += rows_of_cost(measured[part])
        elif world is not None:
            told = {"detection": detection, "seconds": seconds}[part](world, options.quick, peers)
            measured[part] = told
            rows += (rows_of_detection if part == "detection" else rows_of_seconds)(told)
    rows = [one | {"part": one.get("part", "")} for one in rows]
    order = {name: at for at, name in enumerate(PARTS)}
    report(
        "monitoring.py", sorted([*kept["rows"], *rows], key=lambda one: order[one["part"]]),
        options.json, ("modelwright", "numpy", "scipy", "onnxruntime"),
        quick=options.quick, failed=failed, measured=measured,
    )  # fmt: skip


def kept_of(path: Path, parts: Sequence[str]) -> dict[str, Any]:
    """What an earlier result says of the other parts."""
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"rows": [], "measured": {}}
    return {
        "rows": [one for one in old["rows"] if one["part"] not in parts],
        "measured": {part: told for part, told in old["measured"].items() if part not in parts},
    }


# -- detection ------------------------------------------------------------------------------------


def detection(world: World, quick: bool, peers: bool) -> dict[str, Any]:
    """Alarms by size and shift, of ours and of Evidently."""
    found: dict[str, Any] = {}
    for size in (100,) if quick else SIZES:
        counts = {NORMAL: 20 if quick else NORMALS} | dict.fromkeys(SHIFTS, 3 if quick else REPEATS)
        windows = {
            kind: [world.window(kind, size, seed) for seed in range(count)]
            for kind, count in counts.items()
        }
        say(f"    windows of {size}: ours")
        found[str(size)] = {"ours": judged(world, windows)}
        if peers:
            say(f"    windows of {size}: Evidently")
            fewer = {
                kind: some[: PEER_NORMALS if kind == NORMAL else PEER_REPEATS]
                for kind, some in windows.items()
            }
            found[str(size)]["evidently"] = peer(world, fewer)
    return found


def judged(world: World, windows: dict[str, list[Window]]) -> dict[str, Any]:
    """How many windows alarm, with vectors and without, which signals do, and what is estimated."""
    alarms, without = Counter[str](), Counter[str]()
    signals: dict[str, Counter[str]] = {}
    estimates: dict[str, list[tuple[float, float, bool]]] = {}
    for kind, some in windows.items():
        for window in some:
            reference = world.reference(window.reference)
            p = {
                name: sketch.moved(world.sketch(name, window.rows)).p  # type: ignore[arg-type]
                for name, sketch in reference.sketches.items()
            }
            moved = [name for name in p if alarming(p[name], len(p))]
            alarms[kind] += bool(moved)
            plain = [one for name, one in p.items() if name not in OF_VECTORS]
            without[kind] += any(alarming(one, len(plain)) for one in plain)
            signals.setdefault(kind, Counter()).update(moved)
            if len(estimates.setdefault(kind, [])) < REPEATS:
                estimates[kind].append(guessed(world, reference, window))
    size = next(iter(windows.values()))[0]
    return {
        "alarms": alarms, "without_vectors": without, "by_signal": signals,
        "windows": {kind: len(some) for kind, some in windows.items()},
        "reference_rows": len(size.reference), "sketch_bytes": world.bytes,
        "estimated": {kind: summary(some) for kind, some in estimates.items()},
    }  # fmt: skip


def alarming(p: float, compared: int) -> bool:
    """As monitoring decides it."""
    return score(p, limit(REQUEST, compared)) >= 1


def guessed(world: World, reference: Reference, window: Window) -> tuple[float, float, bool]:
    """Estimated accuracy, the true one, and whether that is within the interval."""
    told = estimated({}, reference.reliability, [world.answers[at] for at in window.rows], 0)
    true = float(world.right[window.rows].mean())
    if told is None:
        raise SystemExit("the bundle's answers have no scores")
    return told.value, true, told.low <= true <= told.high


def summary(some: Sequence[tuple[float, float, bool]]) -> dict[str, float]:
    """Of windows of a shift."""
    value, true, inside = np.array(some, dtype=float).T
    return {
        "estimated": round(float(value.mean()), 4), "true": round(float(true.mean()), 4),
        "mean_error": round(float(np.abs(value - true).mean()), 4),
        "within_interval": round(float(inside.mean()), 3),
    }  # fmt: skip


def peer(world: World, windows: dict[str, list[Window]]) -> dict[str, Any]:
    """The same of Evidently, in its own environment."""
    lines = [
        [text, answer["label"], answer["score"], len(text)]
        for text, answer in zip(world.texts, world.answers, strict=True)
    ]
    told = {
        kind: [{"rows": one.rows, "reference": one.reference} for one in some]
        for kind, some in windows.items()
    }
    done = subprocess.run(
        [python_of(PEER), HERE / "peers" / "drift_evidently.py"],
        input=json.dumps({"rows": lines, "windows": told}),
        env=environment(DO_NOT_TRACK="1"), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr[-3_000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def rows_of_detection(found: dict[str, Any]) -> list[dict[str, Any]]:
    """What was asked for, then one row for each shift."""
    rows: list[dict[str, Any]] = []
    for size, one in found.items():
        mine, theirs = one["ours"], one.get("evidently")
        asked = {"at_least": 3, "aim": 4} if int(size) == max(map(int, found)) else {"aim": 4}
        rows.append(
            row(
                f"of 4 planted shifts, found at {int(size):,} requests", seen(mine["alarms"], mine),
                "shifts", peer=TITLE, peer_value=seen(theirs["alarms"], theirs) if theirs else None,
                without_vectors=seen(mine["without_vectors"], mine),
                peer_any_column=seen(theirs["any_column"], theirs) if theirs else None, **asked,
            )
        )  # fmt: skip
        rows.append(false_alarms(int(size), mine, theirs))
        for kind in (*FOUR, *MILDER):
            rows.append(
                row(
                    f"windows of {int(size):,} that alarm: {kind}", share(mine["alarms"], mine, kind),
                    "share", peer=TITLE,
                    peer_value=share(theirs["alarms"], theirs, kind) if theirs else None,
                    without_vectors=share(mine["without_vectors"], mine, kind),
                    peer_any_column=share(theirs["any_column"], theirs, kind) if theirs else None,
                    windows=mine["windows"][kind], signals=mine["by_signal"][kind],
                    estimated_accuracy=mine["estimated"][kind],
                )
            )  # fmt: skip
    return [one | {"part": "detection"} for one in rows]


def false_alarms(size: int, mine: dict[str, Any], theirs: dict[str, Any] | None) -> dict[str, Any]:
    """Of days of hourly checks in which nothing moved."""
    count = mine["windows"][NORMAL]
    alarms = mine["alarms"][NORMAL]
    highest = float(beta.ppf(0.975, alarms + 1, count - alarms))
    other = share(theirs["alarms"], theirs, NORMAL) if theirs else None
    any_column = share(theirs["any_column"], theirs, NORMAL) if theirs else None
    return row(
        f"days of hourly checks of {size:,} rows with a false alarm", a_day(alarms / count), "share",
        better="lower", peer=TITLE, peer_value=None if other is None else a_day(other), at_least=0.01,
        alarms=alarms, windows=count, at_most_by_95=a_day(highest),
        peer_windows=theirs["windows"][NORMAL] if theirs else None,
        peer_any_column=None if any_column is None else a_day(any_column),
        without_vectors=a_day(mine["without_vectors"][NORMAL] / count),
    )  # fmt: skip


def share(alarms: dict[str, int], one: dict[str, Any], kind: str) -> float:
    """Of the windows of a kind."""
    return alarms[kind] / one["windows"][kind]


def seen(alarms: dict[str, int], one: dict[str, Any]) -> int:
    """How many of the four shifts are found."""
    return sum(share(alarms, one, kind) >= 0.9 for kind in FOUR)


def a_day(of_check: float) -> float:
    """Share of days with an alarm in one of their checks, as if those had no row in common."""
    return 1 - (1 - of_check) ** CHECKS


# -- seconds --------------------------------------------------------------------------------------


def seconds(world: World, quick: bool, peers: bool) -> dict[str, Any]:
    """Of a check of a window, reference at hand."""
    found: dict[str, Any] = {}
    names = frozenset(world.signals) - OF_VECTORS
    for size in (100,) if quick else SIZES:
        windows = [world.window(NORMAL, size, seed) for seed in range(2 if quick else TIMED)]
        same, whole = [], []
        for window in windows:
            reference = world.reference(window.reference)
            for spent, request in (
                (same, MonitorRequest(Path(), Path(), signals=sorted(names))),
                (whole, REQUEST),
            ):
                sample = world.sample(window.rows)
                began = time.perf_counter()
                examine(sample, reference, request)
                spent.append(time.perf_counter() - began)
        told = {"same_columns": median(same), "with_vectors": median(whole)}
        if peers:
            told["evidently"] = peer(world, {NORMAL: windows})["check_seconds"]
        found[str(size)] = told
    return found


def rows_of_seconds(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The same columns, and with vectors that were computed before."""
    return [
        row(
            f"a check of {int(size):,} rows: {what}", one[name], "s", better="lower", judged="ratio",
            peer=TITLE, peer_value=one.get("evidently"), at_least=1, aim=5, part="seconds",
        )
        for size, one in found.items()
        for name, what in (
            ("same_columns", "text, label, score, length"), ("with_vectors", "with vectors at hand"),
        )
    ]  # fmt: skip


# -- cost -----------------------------------------------------------------------------------------


def cost(data: Path, bundle: Path, quick: bool) -> dict[str, Any]:
    """Requests a second without recording and with it, in turns; seconds of a check."""
    texts = [line["text"] for line in read(data / "banking77" / "test.csv")][
        : 200 if quick else 2_000
    ]
    rounds, length = (1, 2.5) if quick else (ROUNDS, SECONDS)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        recorded = allowed(data, bundle, work / "bundle")
        services = {"without": service(()), "with": service(("--traffic", str(work / "traffic")))}
        filled = {"bundle": str(recorded), "model": "", "plain": ""}
        live = {
            name: stack.enter_context(running(one, filled, work / f"{name}.log"))
            for name, one in services.items()
        }
        rates: dict[str, list[float]] = {"without": [], "with": []}
        processor: dict[str, list[float]] = {"without": [], "with": []}
        for turn in range(2 * rounds):
            for name in ("without", "with") if turn % 2 else ("with", "without"):
                requests = work / f"{name}.txt"
                lines = (load_line(services[name], text, live[name].port) for text in texts)
                requests.write_text("\n".join(lines) + "\n", encoding="utf-8")
                before = processor_seconds(live[name])
                told = asked(live[name].port, requests, length)
                rates[name].append(float(told["per_second"]))
                spent = processor_seconds(live[name]) - before
                processor[name].append(spent / told["answered"])
        check = check_seconds(data, recorded, work / "recorded", 100 if quick else 1_000)
    ratios = [mine / base for mine, base in zip(rates["with"], rates["without"], strict=True)]
    spent = [
        mine / base for mine, base in zip(processor["with"], processor["without"], strict=True)
    ]
    return {
        "rates": rates, "ratios": ratios, "processor": processor, "processor_ratios": spent,
        "check": check,
    }  # fmt: skip


def processor_seconds(live: Running) -> float:
    """Of the service's processes, up to now."""
    ticks = 0
    for pid in live.processes():
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        ticks += sum(map(int, stat.rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def allowed(data: Path, bundle: Path, folder: Path) -> Path:
    """The bundle, with what its recipe would say of recording; with sketches, if it has none."""
    from modelwright.artifacts.bundle import read_bundle, seal_bundle

    shutil.copytree(bundle, folder)
    add_sketches(data, folder)
    manifest = read_bundle(folder)
    serving = {**(manifest.get("serve") or {}), **RECORDING}
    seal_bundle(folder, {**manifest, "serve": serving, "version": ""})
    return folder


def service(more: Sequence[str]) -> Server:
    """Ours, on all cores, so that both run a batch in the same way; `more` goes after its command."""
    threads = str(os.cpu_count() or 1)
    command = (
        "-m", "modelwright", "serve", "{bundle}", "--port", "{port}", "--threads", threads, *more,
    )  # fmt: skip
    return Server("ours", command, "/v1/predict", ours, "/health/ready")


def load_line(server: Server, text: str, port: int) -> str:
    import base64

    return f"plain {base64.b64encode(server.request(text, port)).decode()}"


def asked(port: int, requests: Path, length: float) -> dict[str, Any]:
    """What a closed loop says, `per_second` and `answered` among it."""
    told = measure(
        [sys.executable, HERE / "workers" / "load.py", "--port", str(port), "--requests", requests,
         "--seconds", str(length), "--clients", str(CLIENTS)]
    )  # fmt: skip
    if told["errors"]:
        raise SystemExit(f"requests failed: {told['errors']}")
    return told


def check_seconds(data: Path, bundle: Path, traffic: Path, rows: int) -> dict[str, float]:
    """Seconds of a check of recorded rows, by the command."""
    record(data, bundle, traffic, rows)
    began, before = time.perf_counter(), children()
    done = subprocess.run(
        [*mw(), "monitor", str(bundle), "--traffic", str(traffic)],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr[-2_000:])
    return {"wall": time.perf_counter() - began, "processor": children() - before}


def children() -> float:
    """Processor seconds of ended children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def add_sketches(data: Path, bundle: Path) -> None:
    """As packaging makes them, for bundles of before."""
    if (bundle / references.FILE).is_file():
        return
    from modelwright.engines import Bundle

    opened = Bundle.open(bundle)
    texts = [line["text"] for line in read(data / "banking77" / "test.csv")]
    told = references.sketch(opened, texts, None, read(data / "banking77" / "train.csv"))
    opened.close()
    (bundle / references.FILE).write_text(json.dumps(told), encoding="utf-8")


def record(data: Path, bundle: Path, folder: Path, rows: int) -> None:
    """Answers of test rows, as the service keeps them."""
    from modelwright.artifacts.traffic import TrafficWriter
    from modelwright.engines import Bundle

    texts = [line["text"] for line in read(data / "banking77" / "test.csv")][:rows]
    opened = Bundle.open(bundle)
    answers, now = opened.predict(texts), time.time_ns() // 1_000_000
    name, version = opened.manifest["name"], opened.manifest["version"]
    opened.close()
    writer = TrafficWriter(folder, "requests", 1 << 30)
    writer.add(
        [
            {"time": now + at, "request_id": f"r{at}", "index": 0, "model": name, "version": version,
             "input": json.dumps(text), "prediction": json.dumps(answer), "label": answer["label"],
             "score": answer["score"]}
            for at, (text, answer) in enumerate(zip(texts, answers, strict=True))
        ]
    )  # fmt: skip
    writer.close()


def rows_of_cost(found: dict[str, Any]) -> list[dict[str, Any]]:
    """What recording takes, and hourly checks of the machine.

    The service has no time to spare here, so that what a request takes of the processor tells how many
    are answered; that is steadier than the rates, whose ratios lie as far apart as `ratios` shows.
    """
    of_hour = found["check"]["processor"] / (3_600 * (os.cpu_count() or 1))
    lost = 1 - (1 - of_hour) / median(found["processor_ratios"])
    return [
        row(
            "cost of monitoring in the service: requests a second lost", max(0.0, lost), "share",
            better="lower", at_least=0.03, aim=0.01, part="cost", measured=lost,
            with_recording=median(found["rates"]["with"]),
            without=median(found["rates"]["without"]), ratios=found["ratios"],
            median_of_ratios=median(found["ratios"]), processor_ratios=found["processor_ratios"],
            check_share_of_hour=of_hour,
        ),
        row(
            "processor seconds of `mw monitor` on 1,000 rows, from start to end",
            found["check"]["processor"], "s", better="lower", part="cost",
            wall_seconds=found["check"]["wall"],
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
