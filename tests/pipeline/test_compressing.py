"""Whole runs with compression: met, unmet, cut off, and of a model that exists already."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from modelwright.artifacts.store import Store
from modelwright.compress import certifying, points
from modelwright.engines import Bundle
from modelwright.errors import GateError
from modelwright.package import proving, reproving
from modelwright.package.verifying import verify
from modelwright.pipeline import stages
from modelwright.pipeline.compressing import search_key
from modelwright.pipeline.running import Run, run
from modelwright.pipeline.stages import Work, key_of
from modelwright.recipe.check import check

TEST_FILE = Path(__file__)
SEARCHES = ".modelwright/store/.scratch/search-*"


def recipe(folder: Path, compress: str, **changes: str) -> Path:
    """The tiny recipe with a compression, and enough validation rows to prove with."""
    sys.path.insert(0, str(TEST_FILE.parents[1]))
    from conftest import write_tiny_recipe  # type: ignore[import-not-found]

    path = write_tiny_recipe(folder)
    text = path.read_text(encoding="utf-8").replace("validation: 0.1", "validation: 0.4")
    text = text.replace("formats: [torch, onnx]", "formats: [torch]")
    for old, new in changes.items():
        text = text.replace(old, new)
    path.write_text(text + f"compress: {compress}\n", encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short timings: what is measured is not what is tested here."""
    monkeypatch.setattr(points, "TIMING_SECONDS", 0.05)
    monkeypatch.setattr(certifying, "PROOF_SECONDS", 0.5)
    monkeypatch.setattr(proving, "SPEED_SECONDS", 0.02)
    monkeypatch.setattr(reproving, "SECONDS", 0.5)


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run that meets what it was asked."""
    folder = tmp_path_factory.mktemp("compressed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(points, "TIMING_SECONDS", 0.05)
        patch.setattr(certifying, "PROOF_SECONDS", 0.5)
        patch.setattr(proving, "SPEED_SECONDS", 0.02)
        return run(recipe(folder, "{max_drop: 60, budget: {minutes: 1.2}}"))


def told(done: Run) -> dict[str, Any]:
    return json.loads((done.folder / "details" / "compression.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_bundle_holds_the_chosen_form_and_the_uncompressed_one(compressed: Run) -> None:
    manifest = json.loads((compressed.bundle / "bundle.json").read_text(encoding="utf-8"))
    names = [entry["name"] for entry in manifest["variants"]]
    assert "torch-fp32" in names
    assert manifest["default"] != "torch-fp32"
    assert manifest["compression"]["status"] == "met"
    small = next(v for v in manifest["variants"] if v["name"] == manifest["default"])
    whole = next(v for v in manifest["variants"] if v["name"] == "torch-fp32")
    assert small["bytes"] < whole["bytes"]
    texts = ["where is my parcel?", "请给我退款", "🙂", "I want to close my account"]
    for name in names:
        assert len(Bundle.open(compressed.bundle, name).predict(texts)) == 4


@pytest.mark.slow
def test_the_search_never_saw_the_rows_of_the_proof(compressed: Run) -> None:
    found = told(compressed)
    rows = (compressed.bundle / "proof" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == found["rows"]["certification"] == found["proof"]["test"]["rows"]
    assert found["rows"]["tuning"] + found["rows"]["certification"] == 48
    order = [test["point"] for test in found["proof"]["sequence"]]
    assert found["chosen"] in order
    assert all(test["passed"] for test in found["proof"]["sequence"][:-1]), "it ends at a failure"


@pytest.mark.slow
def test_every_stage_of_the_path_is_proven(compressed: Run) -> None:
    proof = told(compressed)["proof"]
    assert proof["test"]["passed"]
    assert proof["test"]["bound_points"] >= proof["test"]["drop_points"]
    assert proof["latency"]["low"] <= proof["latency"]["ratio"] <= proof["latency"]["high"]
    checked = {stage["what"]: stage for stage in proof["stages"]}
    assert checked["vocabulary exact"]["holds"]
    assert proof["coverage"]["share"] >= 0.8, "of the rows of the proof; 0.9 of the tuning rows"
    assert all(stage.get("holds", True) for stage in checked.values())
    assert proof["size"]
    assert proof["files"]
    assert proof["flags"] is not None


@pytest.mark.slow
def test_the_proof_is_repeated_by_verify_and_noticed_when_it_fails(compressed: Run) -> None:
    found = verify(compressed.bundle)
    assert found.holds
    assert found.proof is not None
    assert found.proof.rows == told(compressed)["rows"]["certification"]
    assert found.proof.bound_points == pytest.approx(
        told(compressed)["proof"]["test"]["bound_points"], abs=1e-3
    )
    found.proof.max_drop = found.proof.bound_points - 1.0
    problem = found.proof.problem(compressed.bundle)
    assert problem is not None
    assert problem.code == "MW-607"


@pytest.mark.slow
def test_an_unmet_request_ends_with_the_nearest_and_keeps_what_was_measured(
    compressed: Run,
) -> None:
    path = compressed.folder.parents[1] / "recipe.yaml"
    output = compressed.folder.parent / "unmet"
    sets = ("compress.limits={p50_ms: 0.0001}",)
    before = len(told(compressed)["points"])
    with pytest.raises(GateError, match="MW-503"):
        run(path, output, sets=sets)
    found = json.loads((output / "details" / "compression.json").read_text(encoding="utf-8"))
    assert found["status"] == "nearest"
    assert found["infeasible"]["binding"] == "p50_ms"
    assert found["infeasible"]["nearest"] in {point["id"] for point in found["points"]}
    nearest = next(p for p in found["points"] if p["id"] == found["infeasible"]["nearest"])
    assert found["infeasible"]["proven"], "what it loses is shown, not only seen"
    assert nearest["certified"]["rows"] == found["rows"]["certification"]
    assert len(found["points"]) >= before, "points of the first search are used again"
    assert found["proof"]["test"]["openings"] == 2
    assert found["seconds"] <= 60 * found["request"]["budget_minutes"] + 30, "a budget of its own"
    status = json.loads((output / "run.json").read_text(encoding="utf-8"))
    assert status["status"] == "failed"
    assert "No model lies inside" in (output / "report.html").read_text(encoding="utf-8")


def test_what_a_search_hangs_on_decides_what_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = tmp_path / "more.csv"
    more.write_text("text\nwhere is it\n", encoding="utf-8")

    def keys(**limits: float) -> tuple[str, str]:
        asked = f"{{unlabelled: more.csv, limits: {limits}}}".replace("'", "")
        checked = check(recipe(tmp_path, asked))
        work = Work(
            checked, tmp_path, Store(tmp_path / "store"), keys={"data": "d", "finetune": "f"}
        )
        return key_of("compress", work), search_key(work, "f")

    stage, search = keys()
    assert keys(p95_ms=1.0)[0] != stage
    assert keys(p95_ms=1.0)[1] == search, "other limits begin with the points of the last"
    more.write_text("text\nwhere is it now\n", encoding="utf-8")
    assert keys() != (stage, search)
    assert keys()[1] != search
    search = keys()[1]
    monkeypatch.setattr(stages, "versions", lambda *names: dict.fromkeys(names, "9.9"))
    assert keys()[1] != search, "another runtime is timed anew"


@pytest.mark.slow
def test_a_bundle_is_compressed_without_training(compressed: Run, tmp_path: Path) -> None:
    asked = (
        f"{{max_drop: 60, budget: {{minutes: 0.4}}, passes: [quantize], "
        f"model: {compressed.bundle}}}"
    )
    path = recipe(tmp_path, asked)
    done = run(path)
    assert [stage.name for stage in done.stages] == ["data", "compress", "evaluate", "package"]
    assert told(done)["status"] == "met"
    assert verify(done.bundle).holds


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("asked", "until"),
    [
        ("{max_drop: 60, budget: {minutes: 0.8}, passes: [quantize]}", "points.jsonl"),
        ("{max_drop: 60, budget: {minutes: 6}, passes: [layers, distil]}", "lesson-*/best.json"),
    ],
    ids=["after-a-point", "in-a-lesson"],
)
def test_a_killed_search_goes_on(tmp_path: Path, asked: str, until: str) -> None:
    path = recipe(tmp_path, asked)
    command = [sys.executable, "-m", "modelwright", "run", str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        found = _wait_for(tmp_path, until, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    lists = list(tmp_path.glob(f"{SEARCHES}/points.jsonl"))
    kept = lists[0].read_text(encoding="utf-8").splitlines()
    done = run(path)
    assert found.is_file(), "the same folder was used"
    assert not (lists[0].parent / "spent.json").exists(), "the next search has its whole budget"
    assert done.status == "done"
    ids = [point["id"] for point in told(done)["points"]]
    assert json.loads(kept[0])["id"] == ids[0]
    assert len(ids) == len(set(ids))


def _wait_for(folder: Path, name: str, process: subprocess.Popen[bytes]) -> Path:
    """A file of the search, once it holds something; of lessons the second, after the pilot."""
    for _ in range(4000):
        found = sorted(folder.glob(f"{SEARCHES}/{name}"), key=lambda file: file.stat().st_mtime)
        if len(found) >= 1 + ("lesson" in name) and found[-1].stat().st_size:
            return found[-1]
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)
    raise AssertionError(f"there was no {name}")
