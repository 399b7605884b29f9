"""Runs a recipe: stage by stage into the store, then into the run folder.

    runs/NAME/
      run.json  recipe.resolved.yaml  ledger.jsonl  ledger.json  report.html  bundle/
      details/   dataset.json  training.json  report.json

A run that was cut off goes on with the same command: finished stages are in the store, and the
training stage keeps its state in scratch. Two runs never write to one folder at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from modelwright.artifacts.store import Store, now
from modelwright.errors import ModelwrightError, UserError
from modelwright.pipeline.planning import Prediction, predict
from modelwright.pipeline.stages import STAGES, Work, key_of, manifest_of, names_of
from modelwright.recipe.check import Checked, check_with_places
from modelwright.recipe.resolved import resolved_yaml
from modelwright.runtime.files import read_json, write_json, write_text, writing_errors
from modelwright.runtime.machine import describe, measured, release_memory
from modelwright.runtime.progress import say

STORE_VARIABLE = "MODELWRIGHT_STORE"


@dataclass
class StageRecord:
    """A line of run.json."""

    name: str
    key: str
    cached: bool
    seconds: float
    predicted_seconds: float | None
    peak_mb: float
    predicted_peak_mb: float | None = None


@dataclass
class Run:
    """A finished (or stopped) run.

    Attributes:
        folder: the run's folder.
        status: done, failed or interrupted.
        stages: what was done.
    """

    folder: Path
    status: str = "running"
    stages: list[StageRecord] = field(default_factory=list)

    @property
    def bundle(self) -> Path:
        """Where the bundle is."""
        return self.folder / "bundle"

    @property
    def report(self) -> Path:
        """Where the HTML report is."""
        return self.folder / "report.html"


def run(
    recipe: Path | str,
    output: Path | None = None,
    *,
    sets: tuple[str, ...] = (),
    until: str = "package",
) -> Run:
    """Run a recipe.

    Args:
        recipe: its file.
        output: the run folder; `runs/NAME` beside the recipe when not given.
        sets: `KEY=VALUE` overrides.
        until: the last stage to run.

    Raises:
        UserError: MW-1xx to 4xx, 8xx. GateError: MW-204, 501, 502.
    """
    checked = check_with_places(recipe, sets)
    folder = output or checked.folder / "runs" / checked.recipe.name
    store = Store(Path(os.environ.get(STORE_VARIABLE, checked.folder / ".modelwright" / "store")))
    with writing_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        shutil.rmtree(folder / "details", ignore_errors=True)  # of an earlier run
        (folder / "details").mkdir()
        work = Work(checked.recipe, checked.folder, store, run_folder=folder)
        done = Run(folder)
        try:
            _stages(work, done, until)
            done.status = "done"
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt | SystemExit)
            done.status = "interrupted" if stopped else "failed"
            _record(done, checked, work, error)
            raise
        _record(done, checked, work)
        return done


def _stages(work: Work, run: Run, until: str) -> None:
    prediction: Prediction | None = None
    names = names_of(work.recipe, until)
    for place, name in enumerate(names):
        work.keys[name] = key_of(name, work)
        cached = work.store.has(work.keys[name])
        if not cached and prediction is None and name in ("data", "finetune"):
            say("predicting from a short calibration")
            prediction = predict(work, names[place:])
        say(f"{name}: {'cached' if cached else 'running'}")
        release_memory()
        with measured() as usage:
            if not cached:
                _make(name, work)
            STAGES[name].after(work)
        ahead = None if cached or prediction is None else prediction.stages.get(name)
        run.stages.append(
            StageRecord(
                name=name,
                key=work.keys[name],
                cached=cached,
                seconds=round(usage.seconds, 2),
                predicted_seconds=round(ahead.seconds, 2) if ahead else None,
                peak_mb=round(usage.peak_mb, 1),
                predicted_peak_mb=round(ahead.peak_mb, 1) if ahead else None,
            )
        )
        _publish(name, work, run.folder)


def _make(name: str, work: Work) -> None:
    manifest = manifest_of(name, work)
    scratch = work.store.scratch(work.keys[name])
    with work.store.create(manifest) as folder, measured() as usage:
        with writing_errors(folder):
            STAGES[name].make(work, folder, scratch)
        manifest.seconds, manifest.peak_mb = usage.seconds, usage.peak_mb


def _publish(name: str, work: Work, folder: Path) -> None:
    """Copy what users look at from the artifact into the run folder."""
    source = work.path(name)
    details = folder / "details"
    if name == "data":
        for file in ("ledger.jsonl", "ledger.json"):
            shutil.copyfile(source / file, folder / file)
        shutil.copyfile(source / "dataset.json", details / "dataset.json")
    elif name == "finetune":
        shutil.copyfile(source / "training.json", details / "training.json")
    elif name == "compress":
        shutil.copyfile(source / "compression.json", details / "compression.json")
    elif name == "evaluate":
        shutil.copyfile(source / "report.json", details / "report.json")
    else:
        _replace_folder(source / "bundle", folder / "bundle")


def _replace_folder(source: Path, target: Path) -> None:
    """Replace a folder by hard links (or copies) of another, in one rename."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    with writing_errors(target):
        shutil.copytree(source, temporary)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(temporary, target)


def _record(run: Run, checked: Checked, work: Work, error: BaseException | None = None) -> None:
    """Write run.json, the resolved recipe and the report, whatever happened."""
    values: dict[str, Any] = {
        "status": run.status,
        "name": checked.recipe.name,
        "task": checked.recipe.task.name,
        "finished": now(),
        "stages": [asdict(stage) for stage in run.stages],
        "bundle": "bundle" if run.bundle.is_dir() and run.status == "done" else None,
        "machine": describe(),
    }
    if isinstance(error, ModelwrightError):
        values["error"] = {"problems": [problem.as_dict() for problem in error.problems]}
    with contextlib.suppress(OSError, UserError):
        write_json(run.folder / "run.json", values)
        text = resolved_yaml(work.recipe, checked.places, work.derived)
        write_text(run.folder / "recipe.resolved.yaml", text)
        from modelwright.pipeline.page import render

        render(run.folder)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; MW-803 when another run has it. The system frees it with the process."""
    with writing_errors(folder), (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                "MW-803",
                f"another run is writing to {folder}",
                expected="one run a folder at a time",
                fix="wait for it, or choose another folder with -o",
            ) from error
        yield


def summary(run: Run) -> tuple[dict[str, Any], str]:
    """What a user wants to know of a finished run: as data, and as text."""
    stages = [asdict(stage) for stage in run.stages]
    data: dict[str, Any] = {"status": run.status, "folder": str(run.folder), "stages": stages}
    lines = [_stage_line(stage) for stage in run.stages]
    manifest_path = run.bundle / "bundle.json"
    if run.stages and run.stages[-1].name == "package" and manifest_path.is_file():
        manifest = read_json(manifest_path)
        data["bundle"] = str(run.bundle)
        data["quality"] = manifest["quality"]
        data["default"] = manifest["default"]
        lines += _bundle_lines(manifest)
        if told := manifest.get("compression"):
            data["compression"] = {key: told[key] for key in ("status", "chosen", "main")}
            data["compression"] |= {key: told["proof"][key] for key in ("test", "latency")}
            lines += compression_lines(told)
        lines.append(f"bundle  {run.bundle}")
    data["report"] = str(run.report)
    lines.append(f"report  {run.report}")
    if "bundle" in data:
        lines.append(f'next    mw predict {run.bundle} "..."    mw serve {run.bundle}')
    return data, "\n".join(lines)


def compression_lines(told: dict[str, Any]) -> list[str]:
    """What a compression reached, and what was shown of it."""
    chosen = next(point for point in told["points"] if point["id"] == told["chosen"])
    race, test = told["proof"]["latency"], told["proof"]["test"]
    return [
        f"smaller   {chosen['label']}: {race['ratio']:.1f} times faster "
        f"({race['low']:.1f} to {race['high']:.1f}), {chosen['bytes'] / 1e6:.1f} MB instead of "
        f"{told['baseline']['bytes'] / 1e6:.0f}",
        f"proven    loses at most {test['bound_points']:.2f} points of {told['main']}, "
        f"{test['max_drop']:g} allowed, at 95% confidence on {test['rows']:,} rows",
    ]


def _stage_line(stage: StageRecord) -> str:
    if stage.cached:
        return f"{stage.name:<9} cached"
    ahead = f" (predicted {stage.predicted_seconds:.0f} s)" if stage.predicted_seconds else ""
    return f"{stage.name:<9} {stage.seconds:.0f} s{ahead}, {stage.peak_mb:,.0f} MB at most"


def _bundle_lines(manifest: dict[str, Any]) -> list[str]:
    quality = manifest["quality"]
    main = quality["metrics"][quality["main"]]
    default = next(v for v in manifest["variants"] if v["name"] == manifest["default"])
    speed = default["speed"][0]
    return [
        f"quality   {quality['main']} {main['value']:.4f} ({main['low']:.4f} to {main['high']:.4f}) "
        f"on {quality['rows']:,} {quality['split']} rows",
        f"speed     {default['name']}: {speed['p50_ms']:.1f} ms a row, "
        f"{default['bytes'] / 1e6:.0f} MB",
    ]
