"""`mw bench BUNDLE --service`: what one replica can do, found by asking the real service."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from modelwright.artifacts.capacity import Capacity
from modelwright.cli import main
from modelwright.deploy.measuring import measure
from modelwright.errors import GateError, UserError

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="reads /proc")


def test_the_highest_rate_at_which_the_promise_holds_is_found(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "capacity.json"
    words = ["bench", str(tiny_bundle), "--service", "--slo", "400", "--seconds", "3"]
    assert main.run([*words, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    found = Capacity.load(out)
    manifest = json.loads((tiny_bundle / "bundle.json").read_text())
    assert (found.bundle, found.version, found.variant) == (
        "tiny", manifest["version"], manifest["default"],
    )  # fmt: skip
    rates = [load.rate for load in found.loads]
    assert rates == sorted(rates)
    kept = [load for load in found.loads if load.answered == 1.0 and load.p99_ms <= 400]
    assert found.per_second == max(load.rate for load in kept) > 1
    assert all(0 < load.p50_ms <= load.p99_ms for load in kept)
    assert 0 < kept[-1].cpu < 2 * found.cores
    assert 20 < found.memory_mb < 4000
    assert 0.1 < found.ready_seconds < 120
    assert "the most that keeps the promise" in said
    assert f"{found.per_second:,.1f} requests a second" in said


def test_a_promise_that_no_rate_keeps_fails_and_names_a_reachable_one(tiny_bundle: Path) -> None:
    with pytest.raises(GateError) as failed:
        measure(tiny_bundle, slo_p99_ms=0.01, seconds=1)
    assert failed.value.problems[0].code == "MW-625"
    assert "--slo" in failed.value.problems[0].fix


def test_a_bundle_without_golden_rows_cannot_be_measured(tiny_bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, copy)
    (copy / "golden.jsonl").unlink()
    with pytest.raises(UserError) as failed:
        measure(copy, 50)
    assert failed.value.problem.code == "MW-624"


def test_a_service_that_does_not_start_says_why(tiny_bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, copy)
    (copy / "tokenizer" / "extra.txt").write_text("not declared")
    with pytest.raises(UserError) as failed:
        measure(copy, 50)
    assert failed.value.problem.code == "MW-623"
    assert "MW-602" in failed.value.problem.seen


def test_options_of_the_service_without_it_are_refused(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["bench", str(tiny_bundle), "--slo", "50"]) == 2
    assert "--service" in capsys.readouterr().err
