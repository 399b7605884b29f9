"""Runs: cached, resumed after a kill, locked, stopped by a gate."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from modelwright.errors import GateError, UserError
from modelwright.pipeline.running import run
from modelwright.samples import __path__ as SAMPLES

HELPDESK = Path(SAMPLES[0]) / "helpdesk"
pytestmark = pytest.mark.slow


def _recipe(folder: Path, **changes: object) -> Path:
    """A tiny recipe on four intents of the sample data."""
    folder.mkdir(parents=True, exist_ok=True)
    intents = {"order_status", "gift_card", "account_login", "promo_code"}
    for name in ("train", "test"):
        with (HELPDESK / f"{name}.csv").open(encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["intent"] in intents]
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["text", "intent"])
            writer.writeheader()
            writer.writerows(rows)
    recipe = {
        "name": "tiny",
        "task": "text-classification",
        "effort": "quick",
        "base": "scratch:tiny",
        "data": {
            "splits": {"train": "train.csv", "test": "test.csv"},
            "columns": {"text": "text", "label": "intent"},
        },
        "finetune": {"epochs": 6},
        "evaluate": {"suites": ["quality"]},
        **changes,
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe))
    return path


def _start(recipe: Path, stderr: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "modelwright", "run", str(recipe)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=stderr)


def _weights(recipe: Path) -> dict[str, object]:
    [checkpoint] = (recipe.parent / ".modelwright" / "store").glob("checkpoint-*")
    return load_file(checkpoint / "model.safetensors")


def _same(first: dict[str, object], second: dict[str, object]) -> bool:
    return first.keys() == second.keys() and all((first[n] == second[n]).all() for n in first)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = _recipe(tmp_path_factory.mktemp("finished"))
    run(recipe)
    return recipe


def test_a_run_leaves_everything_that_the_contract_names(finished):
    folder = finished.parent / "runs" / "tiny"
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "done"
    assert record["bundle"] == "bundle"
    assert [stage["name"] for stage in record["stages"]] == [
        "data",
        "finetune",
        "evaluate",
        "package",
    ]
    ledger = json.loads((folder / "ledger.json").read_text())
    assert ledger["in"] == ledger["kept"] + sum(ledger["dropped"].values())
    assert "effort: quick" in (folder / "recipe.resolved.yaml").read_text()
    assert "<html" in (folder / "report.html").read_text()
    assert (folder / "bundle" / "bundle.json").is_file()
    assert all(stage["predicted_seconds"] for stage in record["stages"])


def test_a_second_run_does_nothing_again_and_a_changed_value_only_what_depends_on_it(finished):
    again = run(finished)
    assert all(stage.cached for stage in again.stages)
    other = run(finished, sets=("package.golden=3",))
    assert [stage.cached for stage in other.stages] == [True, True, True, False]


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_training_goes_on_to_the_same_weights(finished, tmp_path, kind):
    recipe = _recipe(tmp_path / "killed")
    process = _start(recipe)
    scratch = recipe.parent / ".modelwright" / "store" / ".scratch"
    deadline = time.monotonic() + 120
    while not list(scratch.glob("checkpoint-*/checkpoint-*/whole")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(kind)
    assert process.wait(timeout=60) == (130 if kind == signal.SIGTERM else -9)
    assert not list((recipe.parent / ".modelwright" / "store").glob("checkpoint-*"))
    run(recipe)
    assert _same(_weights(recipe), _weights(finished))


@pytest.mark.parametrize(("stage", "gone"), [("data", 4), ("evaluate", 2), ("package", 1)])
def test_a_stage_killed_as_it_works_is_made_anew(finished, tmp_path, stage, gone):
    folder = tmp_path / "killed"
    shutil.copytree(finished.parent, folder)
    shutil.rmtree(folder / "runs")
    store = folder / ".modelwright" / "store"
    for kind in ("bundle", "report", "checkpoint", "dataset")[:gone]:
        for path in store.glob(f"{kind}-*"):
            shutil.rmtree(path)
    process = _start(folder / finished.name, stderr=subprocess.PIPE)
    assert process.stderr is not None
    with process.stderr as lines:
        assert any(line.startswith(f"{stage}: running".encode()) for line in lines)
        process.kill()
    assert process.wait(timeout=60) == -9
    before = {path.name for path in store.glob("[!.]*")}
    done = run(folder / finished.name, until=stage)
    made = {path.name for path in store.glob("[!.]*")} - before
    assert [record.cached for record in done.stages] == [True] * (len(done.stages) - 1) + [False]
    assert len(made) == 1
    assert made <= {path.name for path in _store(finished).glob("[!.]*")}


def test_trackers_write_beside_the_checkpoint(tmp_path, monkeypatch):
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    recipe = _recipe(tmp_path, finetune={"epochs": 1, "report_to": ["tensorboard"]})
    run(recipe, until="finetune")
    [checkpoint] = _store(recipe).glob("checkpoint-*")
    assert list((checkpoint / "logs").glob("events.out.*"))
    assert "TENSORBOARD_LOGGING_DIR" not in os.environ


def _store(recipe: Path) -> Path:
    return recipe.parent / ".modelwright" / "store"


def test_two_runs_never_write_to_one_folder(finished):
    import fcntl

    with (finished.parent / "runs" / "tiny" / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UserError) as caught:
            run(finished)
    assert caught.value.problem.code == "MW-803"


def test_a_file_where_the_run_folder_should_be_is_told(tmp_path):
    recipe = _recipe(tmp_path / "taken")
    with pytest.raises(UserError) as caught:
        run(recipe, recipe.parent / "train.csv")
    assert caught.value.problem.code == "MW-802"
    assert "File exists" in caught.value.problem.seen


def test_too_many_bad_rows_stop_the_run_with_the_ledger_kept(tmp_path):
    recipe = _recipe(tmp_path / "bad")
    with (recipe.parent / "train.csv").open("a", encoding="utf-8") as file:
        file.write(",order_status\n" * 50)
    with pytest.raises(GateError) as caught:
        run(recipe)
    assert caught.value.problems[0].code == "MW-204"
    folder = recipe.parent / "runs" / "tiny"
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"
    ledger = json.loads((folder / "ledger.json").read_text())
    assert ledger["dropped"]["empty-text"] == 50


def test_an_unmet_limit_on_quality_stops_the_run_and_says_by_how_much(finished):
    with pytest.raises(GateError) as caught:
        run(finished, sets=("evaluate.limits={accuracy: 1.0}",))
    assert caught.value.problems[0].code == "MW-502"
