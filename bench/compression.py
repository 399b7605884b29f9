"""Compression: how much faster and smaller, at what loss, against PyTorch and against peers.

    .venv/bin/python bench/compression.py --data DIR --json OUT [--quick] [--work DIR]
        [--only banking77 conll2003 sst2 fashion-mnist] [--no-peers]

Runs `mw run` on recipes/NAME-compressed.yaml into a work folder (by default .bench/compression)
that is kept: a second call takes finished stages from the store. Then, in one process, the
uncompressed fine-tuned model in PyTorch eager fp32 and the bundle's chosen variant answer the same
test rows in turn, in short blocks, and beside them, each in a process and an environment of its
own, what peers made of the same fine-tuned model under the same limit. A call's time runs from
token ids (or pixels) in memory to logits, for everybody; all use all cores. What was measured of a
set is written as soon as it is done; a set that fails leaves the others alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _peers import made
from _report import HERE, ROOT, arguments, environment, measure, report, row, say
from _sample import copy_some

EAGER, OURS = "torch eager fp32", "ours"
BEFORE = "torch eager fp32 of the same fine-tuned model, padded to the longest of a call"
QUICK_SETS = (
    "effort=quick", "base=scratch:tiny", "finetune.epochs=0.2", "evaluate.suites=[quality]",
    "compress.max_drop=100", "compress.passes=[quantize]", "compress.budget.minutes=0.2",
    "package.max_drop=100", "package.formats=[torch]", "compress.batch=1",
)  # fmt: skip
NEAREST = 3
"""Exit status of `mw run` when limits can't be met; there is an answer all the same."""


@dataclass(frozen=True)
class Case:
    """A set, its recipe, and what is asked of it.

    Attributes:
        recipe: without -compressed.
        data: its folder.
        title: in rows.
        max_drop: points.
        asked: by kind of call: at least, aim (how many times faster).
        size: at most, aim, in MB.
        minutes: at most, aim, of the search.
        peers: whether peers are measured.
    """

    recipe: str
    data: str
    title: str
    max_drop: float
    asked: dict[str, tuple[float, float]] = field(default_factory=dict)
    size: tuple[float, float] | None = None
    minutes: tuple[float, float] | None = None
    peers: bool = False


CASES = (
    Case(
        "banking77", "banking77", "BANKING77", 1.0,
        {"single": (14, 30), "large": (14, 30), "real": (18, 45)}, (10, 5), (30, 15), True,
    ),
    Case("conll2003", "conll2003", "CoNLL-2003", 1.0, {"real": (9, 18)}),
    Case(
        "sst2", "sst2", "SST-2", 1.0, {"single": (12, 25), "real": (12, 25)}, (14, 7), peers=True
    ),
    Case(
        "fashion-mnist", "fashion_mnist", "fashion-MNIST model from scratch", 0.5,
        {"single": (3, 6), "real": (3, 6)},
    ),
)  # fmt: skip
KINDS = {
    "single": ("1x16 tokens, p50", "p50_ms", "ms", "lower"),
    "large": ("32x128, rows a second", "per_second", "rows/s", "higher"),
    "real": (
        "real length distribution, batch 32 in file order, rows a second",
        "per_second", "rows/s", "higher",
    ),
}  # fmt: skip
IMAGES = {"single": "one image, p50", "real": "batch 32 in file order, rows a second"}
BUSY = 0.6
"""Load a core above which times are not to be believed."""
BEST_OF_PEERS = (1.3, 2.5), (1.3, 2.0)


def main() -> None:
    """Parse, run set by set, report; exit 1 when a set failed."""
    parser = arguments(__doc__, "a few hundred rows, one set unless --only; installs nothing")
    parser.add_argument("--work", type=Path, help="kept between calls (default .bench/compression)")
    names = [case.recipe for case in CASES]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help="some sets")
    parser.add_argument("--no-peers", action="store_true", help="ours against PyTorch alone")
    options = parser.parse_args()
    default = ROOT / ".bench" / ("compression-quick" if options.quick else "compression")
    work = (options.work or default).resolve()
    work.mkdir(parents=True, exist_ok=True)
    wanted = options.only or (names[:1] if options.quick else names)
    rows: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    for case in (case for case in CASES if case.recipe in wanted):
        try:
            rows += rows_of(case, work / case.recipe, options)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - others go on
            failed[case.recipe] = f"{type(error).__name__}: {error}"[-1500:]
            say(traceback.format_exc())
            rows += missing(case, failed[case.recipe])
        keep(options.json.with_suffix(".partial.json"), {"rows": rows, "failed": failed})
    libraries = ("modelwright", "torch", "transformers", "openvino", "nncf", "onnxruntime", "numpy")
    report("compression.py", rows, options.json, libraries, quick=options.quick, failed=failed)
    options.json.with_suffix(".partial.json").unlink(missing_ok=True)
    sys.exit(1 if failed else 0)


def rows_of(case: Case, work: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Run the recipe, measure, and the rows of a set."""
    data = options.data.resolve()
    if options.quick:
        data = copy_some(data, work / "data", [case.data])
    say(f"{case.title}: mw run; log in {work}/run.log")
    artifacts = run_recipe(case, data, work, QUICK_SETS if options.quick else ())
    found = measured(case, work, artifacts, options)
    told = artifacts["compression"]
    rows = [
        *speed_rows(case, found),
        *size_rows(case, artifacts, found),
        *quality_rows(case, told, found),
        *peer_rows(case, artifacts, found),
    ]
    keep(work / "rows.json", rows)
    return rows


def missing(case: Case, why: str) -> list[dict[str, Any]]:
    """Rows of a set that failed, so that none of what was asked for is silently left out."""
    return [
        row(
            f"{case.title}, {KINDS[kind][0]}", None, KINDS[kind][2], at_least=asked[0],
            aim=asked[1], judged="ratio", failed=why,
        )
        for kind, asked in case.asked.items()
    ]  # fmt: skip


# -- running --------------------------------------------------------------------------------------


def run_recipe(case: Case, data: Path, work: Path, sets: Sequence[str]) -> dict[str, Any]:
    """`mw run` on the set's recipe; where its artifacts are.

    Returns:
        `bundle` (None when limits could not be met), `compressed`, `checkpoint`, `dataset` (paths),
        `key` of the checkpoint, `compression` (compression.json).
    """
    work.mkdir(parents=True, exist_ok=True)
    store, run = work / "store", work / "run"
    command = [
        sys.executable, "-m", "modelwright", "run",
        str(ROOT / "recipes" / f"{case.recipe}-compressed.yaml"), "-o", str(run),
        *(part for value in sets for part in ("--set", value)),
    ]  # fmt: skip
    variables = {"MODELWRIGHT_DATA": str(data), "MODELWRIGHT_STORE": str(store)}
    log = work / "run.log"
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(
            command, env=environment(**variables), stdout=file, stderr=subprocess.STDOUT,
            check=False,
        )  # fmt: skip
    told = run / "details" / "compression.json"
    if done.returncode not in (0, NEAREST) or not told.is_file():
        raise RuntimeError(f"mw run ended with {done.returncode}: {log.read_text()[-1200:]}")
    keys = {stage["name"]: stage["key"] for stage in read(run / "run.json")["stages"]}
    compressed = max(store.glob("compressed-*"), key=lambda path: path.stat().st_mtime)
    return {
        "bundle": run / "bundle" if done.returncode == 0 else None,
        "compressed": store / keys.get("compress", compressed.name),
        "checkpoint": store / keys["finetune"],
        "dataset": store / keys["data"],
        "key": keys["finetune"],
        "compression": read(told),
    }


def measured(
    case: Case, work: Path, artifacts: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    """Hand the model to the peers, then measure all of them with ours in turn."""
    program = HERE / "workers" / "compression.py"
    handed = work / "handed" / artifacts["key"]
    shared = [
        "--checkpoint", artifacts["checkpoint"], "--dataset", artifacts["dataset"],
        "--handed", handed, *(["--quick"] if options.quick else []),
    ]  # fmt: skip
    peers: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    if case.peers and not options.no_peers:
        if not (handed / "handed.json").is_file():
            measure([sys.executable, program, "hand", *shared])
        peers, failed = made(handed, handed / "peers", case.max_drop, options.quick)
    keep(work / "peers.json", peers)
    say(f"{case.title}: measuring in turn")
    source = "bundle" if artifacts["bundle"] else "compressed"
    asked = [f"--{source}", artifacts[source], "--peers", work / "peers.json"]
    found = measure([sys.executable, program, "measure", *shared, *asked])
    found["peers"] = peers
    found["failed"] |= failed
    keep(work / "measured.json", found)
    return found


# -- rows -----------------------------------------------------------------------------------------


def words(case: Case, kind: str) -> str:
    """A kind of call in words."""
    return IMAGES[kind] if case.recipe == "fashion-mnist" else KINDS[kind][0]


def speed_rows(case: Case, found: dict[str, Any]) -> list[dict[str, Any]]:
    """How fast, by kind of call, and two further views of the same rows."""
    ours, eager = found["subjects"][OURS], found["subjects"][EAGER]
    rows = []
    for kind, (_, figure, unit, better) in KINDS.items():
        if kind not in ours:
            continue
        asked = case.asked.get(kind, (None, None))
        rows.append(
            row(
                f"{case.title}, {words(case, kind)}", ours[kind][figure], unit, better=better,
                peer=BEFORE, peer_value=eager[kind][figure], at_least=asked[0], aim=asked[1],
                judged="ratio", **found["against_eager"][OURS][kind],
                p95_ms=ours[kind]["p95_ms"], peer_p95_ms=eager[kind]["p95_ms"],
                calls=ours[kind]["calls"], variant=found["variant"], threads=found["threads"],
                used_by_others=found["load"], **busy(found),
            )
        )  # fmt: skip
    texts = found["with_tokens"]
    return [
        *rows,
        row(
            f"{case.title}, the same calls from inputs as sent to answers, rows a second",
            texts[OURS], "rows/s", peer=BEFORE, peer_value=texts[EAGER],
        ),
        row(
            f"{case.title}, all test rows given to ours in one call, rows a second",
            found["at_once"], "rows/s", peer=BEFORE + ", in calls of 32",
            peer_value=eager["real"]["per_second"],
        ),
    ]  # fmt: skip


def busy(found: dict[str, Any]) -> dict[str, str]:
    """A note where others had the cores when timing began: such ratios flatter us."""
    if found["load"] <= BUSY * found["threads"]:
        return {}
    say(f"  others used {found['load']:.1f} cores when timing began: its ratios mean nothing")
    return {"note": "measured on a busy machine, which slows PyTorch most: measure again"}


def size_rows(case: Case, artifacts: dict[str, Any], found: dict[str, Any]) -> list[dict[str, Any]]:
    """What must be shipped, and what the search took."""
    size, minutes = case.size or (None, None), case.minutes or (None, None)
    rows = [
        row(
            f"{case.title}, size", megabytes(*of_variant(artifacts, found["variant"])),
            "MB", better="lower", peer="model.safetensors and tokenizer before",
            peer_value=megabytes(*of_checkpoint(artifacts["checkpoint"])),
            at_least=size[0], aim=size[1],
        )
    ]  # fmt: skip
    seconds = artifacts["compression"].get("seconds")
    return [
        *rows,
        row(
            f"{case.title}, search time on {found['threads']} cores",
            seconds / 60 if seconds else None, "min", better="lower",
            at_least=minutes[0], aim=minutes[1],
            budget_minutes=artifacts["compression"].get("request", {}).get("budget_minutes"),
            points=len(artifacts["compression"].get("points", [])),
        ),
    ]  # fmt: skip


def of_variant(artifacts: dict[str, Any], name: str) -> list[Path]:
    """Files of the chosen form and of the encoder that it reads."""
    bundle, compressed = artifacts["bundle"], artifacts["compressed"]
    folder = bundle / "variants" / name if bundle else compressed / "form"
    inside = [path for path in folder.rglob("*") if path.is_file()]
    if (folder / "tokenizer").is_dir():
        return inside
    if bundle:
        return [*inside, *(bundle / "tokenizer").glob("*"), *(bundle / "processor").glob("*")]
    beside = [compressed / "checkpoint" / kind for kind in ("tokenizer.json", "encoder.json")]
    return [*inside, *(path for path in beside if path.is_file())]


def of_checkpoint(folder: Path) -> list[Path]:
    """Weights and tokenizer."""
    found = [folder / "model.safetensors", folder / "tokenizer.json"]
    return [path for path in found if path.is_file()]


def megabytes(*paths: Path) -> float:
    """In 10^6 bytes."""
    return sum(path.stat().st_size for path in paths) / 1e6


def quality_rows(case: Case, told: dict[str, Any], found: dict[str, Any]) -> list[dict[str, Any]]:
    """The main metric on the official test rows of both, and the points lost."""
    quality = found["quality"]
    ours, before = quality["of"][OURS], quality["of"][EAGER]
    test = told.get("proof", {}).get("test", {})
    return [
        row(
            f"{case.title}, {quality['main']} on the official test rows", ours["value"], "share",
            peer="before compression", peer_value=before["value"], rows=quality["rows"],
        ),
        row(
            f"{case.title}, points of {quality['main']} lost on the official test rows",
            ours["drop_points"], "points", better="lower", at_least=case.max_drop,
            low=ours["low"], high=ours["high"], interval="95%, paired bootstrap",
            status=told.get("status"), infeasible=(told.get("infeasible") or {}).get("sentence"),
            chosen=told.get("chosen"), certified={
                key: test.get(key)
                for key in ("bound_points", "drop_points", "rows", "method", "alpha", "passed")
            },
        ),
    ]  # fmt: skip


# -- peers ----------------------------------------------------------------------------------------


def peer_rows(case: Case, artifacts: dict[str, Any], found: dict[str, Any]) -> list[dict[str, Any]]:
    """Each peer's figures beside ours, then ours against the best of them."""
    size = megabytes(*of_variant(artifacts, found["variant"]))
    rows: list[dict[str, Any]] = []
    for peer in (one for one in found["peers"] if one["name"] in found["subjects"]):
        rows += beside(case, peer, size, found)
    rows += [
        row(f"{case.title}, {name}", None, "", peer=name, failed=why)
        for name, why in found["failed"].items()
    ]
    within = [one for one in found["peers"] if holds(case, one, found)]
    if case.peers and (within or not found["peers"]):
        rows += best_rows(case, within, size, found)
    return rows


def holds(case: Case, peer: dict[str, Any], found: dict[str, Any]) -> bool:
    """Whether a peer's model stays within the limit on validation rows."""
    seen = found["quality"]["of"].get(peer["name"])
    return seen is not None and seen["validation_drop_points"] <= case.max_drop


def beside(
    case: Case, peer: dict[str, Any], size: float, found: dict[str, Any]
) -> list[dict[str, Any]]:
    """A peer's speed and size beside ours."""
    name, quality = peer["name"], found["quality"]["of"][peer["name"]]
    more = {
        "given": peer["given"], "peer_quality": quality, "peer_seconds": round(peer["seconds"], 1),
        "peer_versions": peer["versions"], "peer_within_limit": holds(case, peer, found),
    }  # fmt: skip
    rows = []
    for kind, (_, figure, unit, better) in KINDS.items():
        if kind in found["subjects"][name]:
            against = found["against_eager"][name][kind]["ratio"]
            rows.append(
                row(
                    f"{case.title}, {words(case, kind)}, beside {name}",
                    found["subjects"][OURS][kind][figure], unit, better=better, peer=name,
                    peer_value=found["subjects"][name][kind][figure],
                    **found["ours_against"][name][kind], peer_against_torch=round(against, 3),
                )
            )  # fmt: skip
    rows[0] |= more
    return [
        *rows,
        row(
            f"{case.title}, size, beside {name}", size, "MB", better="lower", peer=name,
            peer_value=peer["bytes"] / 1e6,
        ),
    ]  # fmt: skip


def best_rows(
    case: Case, within: Sequence[dict[str, Any]], size: float, found: dict[str, Any]
) -> list[dict[str, Any]]:
    """Against the fastest and against the smallest of the peers within the limit."""
    (fast_least, fast_aim), (small_least, small_aim) = BEST_OF_PEERS
    figures = found["subjects"]
    ours = figures[OURS]["single"]["p50_ms"]
    fastest = min(within, key=lambda one: figures[one["name"]]["single"]["p50_ms"], default=None)
    smallest = min(within, key=lambda one: one["bytes"], default=None)
    what = f"{case.title}, against the best peer at the same limit"
    return [
        row(
            f"{what}: latency (1x16 tokens, p50)", ours, "ms", better="lower", judged="ratio",
            peer=fastest["name"] if fastest else None,
            peer_value=figures[fastest["name"]]["single"]["p50_ms"] if fastest else None,
            at_least=fast_least, aim=fast_aim, of=[one["name"] for one in within],
            **(found["ours_against"][fastest["name"]]["single"] if fastest else {}),
        ),
        row(
            f"{what}: size", size, "MB", better="lower", judged="ratio",
            peer=smallest["name"] if smallest else None,
            peer_value=smallest["bytes"] / 1e6 if smallest else None,
            at_least=small_least, aim=small_aim,
        ),
    ]  # fmt: skip


def read(path: Path) -> dict[str, Any]:
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def keep(path: Path, content: Any) -> None:
    """Write a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
