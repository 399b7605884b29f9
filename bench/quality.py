"""The quality that the shipped recipes reach, and how well their time and memory were predicted.

    .venv/bin/python bench/quality.py --data DIR --json OUT [--quick] [--work DIR] [--only NAME...]

Runs `mw run` on recipes/*.yaml, each in a process of its own, into a work folder (by default
.bench/quality) that is kept: a second call takes finished stages from the store, and what they took
when they ran from measured.json. Figures are those of the trained model on the whole test split
(details/report.json); the bundle's default variant stands beside them. Baselines are our report's,
on the same rows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _report import ROOT, arguments, environment, report, row, say
from _sample import copy_some

QUICK_SETS = (
    "effort=quick", "finetune.epochs=0.05", "evaluate.suites=[quality]", "package.formats=[torch]",
)  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """A figure asked of a recipe: its metric, and the limits."""

    recipe: str
    data: str
    metric: str
    what: str
    at_least: float | None = None
    aim: float | None = None


FIGURES = (
    Figure("banking77", "banking77", "accuracy", "BANKING77 accuracy", 0.925, 0.937),
    Figure("conll2003", "conll2003", "f1", "CoNLL-2003 entity F1", 0.860, 0.885),
    Figure(
        "conll2003", "conll2003", "token_accuracy", "CoNLL-2003 token micro average", 0.970, 0.976
    ),
    Figure("sst2", "sst2", "accuracy", "SST-2 accuracy", 0.890, 0.915),
    Figure("fashion-mnist", "fashion_mnist", "accuracy", "fashion-MNIST accuracy", 0.88, 0.91),
    Figure("waimai", "waimai_10k", "accuracy", "waimai accuracy beside TF-IDF"),
)
MINUTES = {"fashion-mnist": ("fashion-MNIST minutes", 15)}
RECIPES = tuple(dict.fromkeys(figure.recipe for figure in FIGURES))


def main() -> None:
    """Parse, run, report; exit 1 when a run failed."""
    parser = arguments(__doc__, "a few steps on a few hundred rows; one recipe unless --only")
    parser.add_argument("--work", type=Path, help="kept between calls (default .bench/quality)")
    parser.add_argument("--only", nargs="+", choices=RECIPES, metavar="NAME", help="some recipes")
    options = parser.parse_args()
    default = ROOT / ".bench" / ("quality-quick" if options.quick else "quality")
    work = (options.work or default).resolve()
    work.mkdir(parents=True, exist_ok=True)
    names = options.only or (RECIPES[:1] if options.quick else RECIPES)
    rows, failed = measured(options, work, names)
    libraries = ("modelwright", "torch", "transformers", "onnxruntime", "scikit-learn", "numpy")
    report("quality.py", rows, options.json, libraries, quick=options.quick, failed=failed)
    sys.exit(1 if failed else 0)


def measured(
    options: argparse.Namespace, work: Path, names: tuple[str, ...]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows of all recipes in turn, and the end of the log of those that failed."""
    data = options.data.resolve()
    if options.quick:
        data = copy_some(data, work / "data", [f.data for f in FIGURES if f.recipe in names])
    rows: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    for name in names:
        say(f"{name}: running; log in {work / name}.log")
        wall, error = run_recipe(name, data, work, QUICK_SETS if options.quick else ())
        if error:
            failed[name] = error
            say(error)
            rows += [row(f.what, None, "share", at_least=f.at_least, aim=f.aim, failed=True)
                     for f in FIGURES if f.recipe == name]  # fmt: skip
            continue
        rows += quality_rows(name, work / name) + time_rows(name, work, wall)
    return rows, failed


def run_recipe(name: str, data: Path, work: Path, sets: tuple[str, ...]) -> tuple[float, str]:
    """`mw run` on a recipe; wall seconds, and the end of its log if it failed."""
    command = [
        sys.executable, "-m", "modelwright", "run", str(ROOT / "recipes" / f"{name}.yaml"),
        "-o", str(work / name), *(part for value in sets for part in ("--set", value)),
    ]  # fmt: skip
    variables = {"MODELWRIGHT_DATA": str(data), "MODELWRIGHT_STORE": str(work / "store")}
    log = work / f"{name}.log"
    started = time.perf_counter()
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(
            command,
            env=environment(**variables),
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    wall = time.perf_counter() - started
    return wall, log.read_text(encoding="utf-8")[-1500:] if done.returncode else ""


# -- quality --------------------------------------------------------------------------------------


def quality_rows(name: str, folder: Path) -> list[dict[str, Any]]:
    """The figures of one recipe with their 95% intervals."""
    found = read(folder / "details" / "report.json")
    bundle = read(folder / "bundle" / "bundle.json")
    baselines = found["suites"].get("quality", {}).get("baselines", [])
    simple = baselines[-1] if baselines else None
    rows = []
    for figure in FIGURES:
        if figure.recipe != name:
            continue
        metric = found["metrics"][figure.metric]
        shipped = bundle["quality"]["metrics"].get(figure.metric)
        rows.append(
            row(
                figure.what, metric["value"], "share", at_least=figure.at_least, aim=figure.aim,
                peer=f"{simple['name']} baseline, same rows" if simple else None,
                peer_value=simple["metrics"].get(figure.metric) if simple else None,
                low=metric["low"], high=metric["high"], split=found["split"], rows=found["rows"],
                baseline_interval=[simple["low"], simple["high"]]
                if simple and simple["metric"] == figure.metric else None,
                bundle={"variant": bundle["default"], "rows": bundle["quality"]["rows"],
                        **(shipped or {})},
                epochs=bundle["training"]["settings"]["epochs"],
            )
        )  # fmt: skip
    return rows


# -- time and memory ------------------------------------------------------------------------------


def time_rows(name: str, work: Path, wall: float) -> list[dict[str, Any]]:
    """Minutes where they are asked for, and how far predictions were off."""
    stages = stages_as_measured(read(work / name / "run.json")["stages"], work / "measured.json")
    seconds = sum(stage["seconds"] for stage in stages)
    rows = []
    if name in MINUTES:
        what, limit = MINUTES[name]
        rows.append(row(what, seconds / 60, "min", better="lower", at_least=limit, stages=stages))
    # a stage that was cached when first seen here has no prediction and no true time
    known = [stage for stage in stages if stage["predicted_seconds"] is not None]
    if not known:
        return rows
    times = sum(s["seconds"] for s in known), sum(s["predicted_seconds"] for s in known)
    peaks = max(s["peak_mb"] for s in known), max(s["predicted_peak_mb"] or 0 for s in known)
    rows += [
        off(f"predicted against actual minutes, {name}", times, "seconds", known),
        off(f"predicted against actual peak memory, {name}", peaks, "mb", known),
    ]
    rows[-2]["wall_seconds_of_this_call"] = round(wall, 1)
    return rows


def off(
    what: str, pair: tuple[float, float], unit: str, stages: list[dict[str, Any]]
) -> dict[str, Any]:
    """Percent by which a prediction missed what happened."""
    actual, predicted = pair
    percent = 100 * abs(predicted - actual) / actual
    more = {f"actual_{unit}": round(actual, 1), f"predicted_{unit}": round(predicted, 1)}
    return row(what, percent, "%", better="lower", at_least=40, aim=15, **more, stages=stages)


def stages_as_measured(stages: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """Each stage as it was when it really ran; kept by artifact key in measured.json."""
    kept = read(path) if path.is_file() else {}
    kept.update({stage["key"]: stage for stage in stages if not stage["cached"]})
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(kept, indent=2), encoding="utf-8")
    os.replace(temporary, path)
    return [kept.get(stage["key"], stage) for stage in stages]


def read(path: Path) -> dict[str, Any]:
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
