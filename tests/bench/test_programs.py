"""The programs that measure: they explain themselves, and what they write has the agreed form."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"
KEYS = {"what", "value", "unit", "peer", "peer_value", "ratio", "at_least", "aim"}
PROGRAMS = (
    "training.py", "startup.py", "quality.py", "compression.py", "serving.py", "soak.py", "fuzz.py",
    "clients.py", "watching.py", "scaling.py",
)  # fmt: skip


@pytest.fixture(scope="module")
def helper() -> Any:
    spec = importlib.util.spec_from_file_location("_report", BENCH / "_report.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_explains_itself_without_running(program: str) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH / program), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--quick" in done.stdout
    assert "--data" in done.stdout


def test_a_report_has_the_agreed_form(helper: Any, tmp_path: Path) -> None:
    rows = [
        helper.row("rate", 200.0, "rows/s", peer="theirs", peer_value=50.0, at_least=4),
        helper.row("start", 0.5, "s", better="lower", peer="theirs", peer_value=2.0, at_least=1),
    ]
    helper.report("some.py", rows, tmp_path / "some.json", ["numpy"])
    written = json.loads((tmp_path / "some.json").read_text(encoding="utf-8"))
    assert written.keys() >= {"program", "commit", "machine", "versions", "rows"}
    assert all(line.keys() >= KEYS for line in written["rows"])
    assert [line["ratio"] for line in written["rows"]] == [4.0, 4.0]


@pytest.mark.parametrize(
    ("value", "better", "expected"),
    [(0.1, "lower", "aim"), (0.4, "lower", "enough"), (0.6, "lower", "short")],
)
def test_a_verdict_follows_the_direction(
    helper: Any, value: float, better: Any, expected: str
) -> None:
    line = helper.row("start", value, "s", better=better, at_least=0.5, aim=0.2)
    assert helper.verdict(line) == expected
