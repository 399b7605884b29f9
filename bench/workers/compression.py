"""Our side of bench/compression.py, one step a process; prints one JSON object.

hand       the uncompressed model as a plain folder with its graph and encoded rows, for peers
measure    the uncompressed model, the bundle's chosen variant and the peers, in turn
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _subjects import Eager, Local, Remote, Subject, Work
from _turns import Times, latency, ratio, throughput

from modelwright.artifacts.dataset import Dataset
from modelwright.engines import Bundle
from modelwright.engines._bundle import Variant, open_variant
from modelwright.formats._onnx import export
from modelwright.metrics.comparing import difference
from modelwright.models.checkpoint import TrainedModel, open_checkpoint
from modelwright.runtime.files import read_json, write_json
from modelwright.runtime.machine import cores

SHORT, LONG, BATCH = 16, 128, 32
QUIET, QUIET_SECONDS = 0.5, 300
"""Share of the cores in use by others at which timing starts, and how long it is waited for."""
EAGER, OURS = "torch eager fp32", "ours"


def main() -> None:
    """Parse and do one thing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("kind", choices=["hand", "measure"])
    parser.add_argument("--checkpoint", type=Path, required=True, help="the uncompressed model")
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--handed", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, help="its default variant is ours")
    parser.add_argument("--compressed", type=Path, help="the artifact, where there is no bundle")
    parser.add_argument("--peers", type=Path, help="what was made of the handed model")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(cores())
    model, data = open_checkpoint(options.checkpoint), Dataset.open(options.dataset)
    done = {"hand": hand, "measure": measure}[options.kind](options, model, data)
    print(json.dumps(done))


def works_of(model: TrainedModel, rows: Sequence[Any]) -> dict[str, Work]:
    """The calls that are timed, made of test rows in file order."""
    inputs = [model.task.example(row) for row in rows]
    batches = [inputs[at : at + BATCH] for at in range(0, len(inputs), BATCH)]
    works = {"real": Work("real", batches, None)}
    if model.task.modality == "image":
        works["single"] = Work("single", [[one] for one in inputs[:50]], None)
        return works
    lengths = np.array([len(one["input_ids"]) for one in first_windows(model, inputs)])
    nearest = np.argsort(np.abs(lengths - SHORT), kind="stable")[:50]
    longest = np.argsort(-lengths, kind="stable")[:BATCH]
    works["single"] = Work("single", [[inputs[at]] for at in nearest], SHORT)
    works["large"] = Work("large", [[inputs[at] for at in longest]], LONG)
    return works


def first_windows(model: TrainedModel, inputs: Sequence[Any]) -> list[Any]:
    """The first feature of each input."""
    found: dict[int, Any] = {}
    for place, feature in enumerate(model.task.encode(list(inputs), model.encoder)):
        found.setdefault(feature.get("example", place), feature)
    return [found[at] for at in range(len(inputs))]


# -- what peers get -------------------------------------------------------------------------------


def hand(options: argparse.Namespace, model: TrainedModel, data: Dataset) -> dict[str, Any]:
    """Write the folder that peers/_handed.py describes."""
    folder = options.handed
    model.save(folder)
    export(model, folder / "model.onnx")
    settings = model.encoder.settings
    write_json(
        folder / "handed.json",
        {"inputs": model.network.settings.inputs, "pad_id": getattr(settings, "pad_id", 0)},
    )
    counts = {}
    for split in ("train", "validation", "test"):
        rows = data.rows(split)
        features = model.task.encode([model.task.example(row) for row in rows], model.encoder)
        labels = [model.task.target(row, one) for row, one in zip(rows, features, strict=True)]
        keep(folder / f"{split}.npz", features, labels, BATCH)
        counts[split] = len(rows)
    for name, work in works_of(model, data.rows("test")).items():
        calls = work.features(model)
        features = [row for call in calls for row in call]
        keep(folder / f"{name}.npz", features, [0] * len(features), max(map(len, calls)))
    return {"rows": counts}


def keep(path: Path, features: Sequence[Any], labels: Sequence[int], batch: int) -> None:
    """Encoded rows, one after the other."""
    lengths = [len(one["input_ids"]) for one in features]
    np.savez(
        path,
        ids=np.concatenate([np.asarray(one["input_ids"], dtype=np.int64) for one in features]),
        types=np.concatenate(
            [np.asarray(one["token_type_ids"], dtype=np.int64) for one in features]
        ),
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        labels=np.asarray(labels, dtype=np.int64),
        batch=batch,
    )


# -- measuring ------------------------------------------------------------------------------------


def measure(options: argparse.Namespace, model: TrainedModel, data: Dataset) -> dict[str, Any]:
    """Everything that is measured of one set."""
    rows, load = data.rows("test"), wait_for_quiet(0 if options.quick else QUIET_SECONDS)
    name, variant = opened(options)
    eager, ours = Local(EAGER, Eager(model)), Local(OURS, variant)
    peers, failed = open_peers(options)
    subjects: list[Subject] = [eager, ours, *peers]
    works = works_of(model, rows)
    try:
        timed = times_of(subjects, works, options.quick)
        quality = qualities(options, model, variant, data, peers)
    finally:
        for peer in peers:
            peer.close()
    return {
        "subjects": {subject.name: told(timed, subject.name) for subject in subjects},
        "against_eager": {
            name: {
                kind: ratio(found[EAGER], found[name], figure_of(kind))
                for kind, found in timed.items()
            }
            for name in (subject.name for subject in subjects[1:])
        },
        "ours_against": {
            peer.name: {
                kind: ratio(found[peer.name], found[OURS], figure_of(kind))
                for kind, found in timed.items()
            }
            for peer in peers
        },
        "with_tokens": answers_per_second(eager.model, variant, works["real"], options.quick),
        "at_once": at_once(variant, rows),
        "quality": quality,
        "failed": failed,
        "variant": name,
        "threads": cores(),
        "load": load,
    }


def wait_for_quiet(most: float) -> float:
    """Wait until others leave our cores alone, at most so many seconds; cores in use then.

    PyTorch's threads wait for each other at every operation: with a core taken away its eager
    calls become many times slower than those of the other runtimes, and ratios mean nothing.
    """
    started, busy = time.perf_counter(), in_use()
    while busy > QUIET * cores() and time.perf_counter() - started < most:
        busy = in_use()
    return busy


def in_use(seconds: float = 2.0) -> float:
    """How many of the cores that this process may use others use, seen while it sleeps."""
    before = ticks()
    time.sleep(seconds)
    spent = [
        (after[0] - idle[0], after[1] - idle[1])
        for idle, after in zip(before, ticks(), strict=True)
    ]
    return sum(1 - idle / max(1, total) for idle, total in spent)


def ticks() -> list[tuple[int, int]]:
    """Idle and all ticks so far of each core that this process may use."""
    mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    counts = [line.split() for line in lines if line.split()[0] in mine]
    return [(int(one[4]) + int(one[5]), sum(map(int, one[1:9]))) for one in counts]


def opened(options: argparse.Namespace) -> tuple[str, Variant]:
    """Name and model of what is ours."""
    if options.bundle is not None:
        bundle = Bundle.open(options.bundle)
        return bundle.variant["name"], bundle
    draft = read_json(options.compressed / "form.json")
    small = open_checkpoint(options.compressed / "checkpoint")
    rows = 0 if draft["batch_invariant"] else 1
    form = options.compressed / "form"
    return draft["name"], open_variant(form, draft["engine"], small.task, small.encoder, rows=rows)


def open_peers(options: argparse.Namespace) -> tuple[list[Remote], dict[str, str]]:
    """Peers that open, and why others did not."""
    if options.peers is None:
        return [], {}
    program = Path(__file__).resolve().parents[1] / "peers" / "answering.py"
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    opened, failed = [], {}
    for peer in json.loads(options.peers.read_text(encoding="utf-8")):
        command = [
            peer["python"], str(program), "--handed", str(options.handed),
            "--model", peer["model"], "--runtime", peer["runtime"], "--threads", str(cores()),
        ]  # fmt: skip
        try:
            opened.append(Remote(peer["name"], command, clean))
        except RuntimeError as error:
            failed[peer["name"]] = str(error)
    return opened, failed


def figure_of(kind: str) -> str:
    """What is compared of a kind of calls."""
    return "p50_ms" if kind == "single" else "per_second"


def times_of(
    subjects: Sequence[Subject], works: dict[str, Work], quick: bool
) -> dict[str, dict[str, Times]]:
    """Times of every kind of call by subject."""
    found = {}
    for kind, work in works.items():
        print(f"  timing {kind}", file=sys.stderr, flush=True)
        if kind == "single":
            found[kind] = latency(subjects, work, *((3, 5) if quick else (30, 40)))
        elif kind == "large":
            found[kind] = throughput(subjects, work, 2 if quick else 12, 1)
        else:
            chunk = 2 if quick else 8
            rounds = 2 if quick else 2 * -(-len(work) // chunk)
            found[kind] = throughput(subjects, work, rounds, chunk)
    return found


def told(timed: dict[str, dict[str, Times]], name: str) -> dict[str, dict[str, float]]:
    """A subject's figures."""
    return {
        kind: {
            "p50_ms": found[name].p50_ms(),
            "p95_ms": found[name].p95_ms(),
            "per_second": found[name].per_second(),
            "calls": found[name].runs(),
        }
        for kind, found in timed.items()
    }


def answers_per_second(eager: Any, bundle: Any, work: Work, quick: bool) -> dict[str, float]:
    """Rows a second from inputs as sent to answers, calls of 32 rows, in turn."""
    calls = work.inputs[:: 1 if len(work) < 60 else 3][: 3 if quick else None]
    spent = {EAGER: 0.0, OURS: 0.0}
    for call in calls:
        for name, model in ((EAGER, eager), (OURS, bundle)):
            model.predict(call[:2])
            before = time.perf_counter()
            model.predict(call)
            spent[name] += time.perf_counter() - before
    rows = sum(map(len, calls))
    return {name: rows / seconds for name, seconds in spent.items()}


def at_once(bundle: Any, rows: Sequence[Any]) -> float:
    """Rows a second of ours when all rows are given in one call, as a nightly job has them."""
    features = bundle.encode([bundle.task.example(row) for row in rows])
    bundle.logits(features[:256])
    before = time.perf_counter()
    bundle.logits(features)
    return len(rows) / (time.perf_counter() - before)


# -- quality --------------------------------------------------------------------------------------


def qualities(
    options: argparse.Namespace,
    model: TrainedModel,
    bundle: Any,
    data: Dataset,
    peers: Sequence[Remote],
) -> dict[str, Any]:
    """The main metric of everybody on the test rows, and peers' drop on validation rows."""
    evidence = {
        split: evidence_of(model, data.rows(split))
        for split in (("test", "validation") if peers else ("test",))
    }
    main = evidence["test"].main
    found = {
        EAGER: {"value": evidence["test"].scores()[main]},
        OURS: compared(evidence["test"], evidence_of(bundle, data.rows("test"))),
    }
    for peer in peers:
        theirs = {
            split: evidence_from(
                model, data.rows(split), peer.logits(split, Path(options.peers).parent)
            )
            for split in evidence
        }
        found[peer.name] = compared(evidence["test"], theirs["test"])
        gap = evidence["validation"].scores()[main] - theirs["validation"].scores()[main]
        found[peer.name]["validation_drop_points"] = 100 * gap
    return {"main": main, "rows": len(data.rows("test")), "of": found}


def evidence_of(model: Any, rows: Sequence[Any]) -> Any:
    """Truth and answers of a model here."""
    features = model.task.encode(examples(model, rows), model.encoder)
    return model.task.evidence(rows, model.logits(features), features)


def examples(model: Any, rows: Sequence[Any]) -> list[Any]:
    """Rows as users send them."""
    return [model.task.example(row) for row in rows]


def evidence_from(model: TrainedModel, rows: Sequence[Any], logits: np.ndarray) -> Any:
    """Truth and a peer's answers."""
    features = model.task.encode(examples(model, rows), model.encoder)
    return model.task.evidence(rows, list(logits), features)


def compared(before: Any, after: Any) -> dict[str, Any]:
    """Main metric, and the points lost against the uncompressed model with their 95% interval."""
    gap = difference(before, after, seed=0)
    return {
        "value": after.scores()[after.main],
        "drop_points": 100 * gap.value,
        "low": 100 * gap.low,
        "high": 100 * gap.high,
    }


if __name__ == "__main__":
    main()
