"""What bench/compression.py says of peers and times is what was measured."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Opens a file of bench/ as a program there would."""
    monkeypatch.setattr(sys, "path", [str(BENCH), str(BENCH / "workers"), *sys.path])

    def opened(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"bench_{Path(name).stem}", BENCH / name)
        assert spec is not None
        assert spec.loader is not None
        found = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, found)
        spec.loader.exec_module(found)
        return found

    return opened


def test_a_ratio_is_of_medians_or_of_rates_and_lies_in_its_interval(module: Any) -> None:
    turns = module("workers/_turns.py")
    slow = turns.Times([[0.010, 0.011], [0.010, 0.012]], [[1, 1], [1, 1]], [[0, 1], [0, 1]])
    fast = turns.Times([[0.001, 0.001], [0.002, 0.001]], [[1, 1], [1, 1]], [[0, 1], [0, 1]])
    by_median = turns.ratio(slow, fast, "p50_ms")
    assert by_median["ratio"] == pytest.approx(10.5)
    assert by_median["low"] <= by_median["ratio"] <= by_median["high"]
    assert by_median["ratio_of_quickest"] == pytest.approx(0.021 / 0.002)
    assert turns.ratio(slow, fast, "per_second")["ratio"] == pytest.approx(0.043 / 0.005)


def test_a_block_repeats_quick_subjects_on_the_same_calls(module: Any) -> None:
    turns = module("workers/_turns.py")

    class Work:
        inputs = ([1, 2], [3], [4, 5, 6])

        def __len__(self) -> int:
            return 3

    class Subject:
        def __init__(self, name: str, seconds: float) -> None:
            self.name, self.each = name, seconds

        def seconds(self, work: Work, calls: Any) -> list[float]:
            return [self.each for _ in calls]

    found = turns.throughput([Subject("slow", 0.2), Subject("quick", 0.01)], Work(), 2, 2)
    assert found["slow"].rows == [[2, 1], [3]]
    assert found["quick"].rows == [[2, 1] * 10, [3] * 10]
    assert found["slow"].per_second() == pytest.approx(6 / 0.6)


def test_a_peer_reads_the_rows_as_they_were_encoded(module: Any, tmp_path: Path) -> None:
    handed, worker = module("peers/_handed.py"), module("workers/compression.py")
    features = [
        {"input_ids": [101, 7, 102], "token_type_ids": [0, 0, 0]},
        {"input_ids": [101, 7, 8, 9, 102], "token_type_ids": [0, 0, 1, 1, 1]},
        {"input_ids": [101, 102], "token_type_ids": [0, 0]},
    ]
    worker.keep(tmp_path / "test.npz", features, [4, 5, 6], 2)
    (tmp_path / "handed.json").write_text(
        '{"inputs": ["input_ids", "attention_mask", "token_type_ids"], "pad_id": 1}'
    )
    rows = handed.Rows(tmp_path, "test")
    assert (len(rows), rows.calls, rows.labels.tolist()) == (3, 2, [4, 5, 6])
    first = rows.call(0)
    assert first["input_ids"].tolist() == [[101, 7, 102, 1, 1], [101, 7, 8, 9, 102]]
    assert first["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert first["token_type_ids"][1].tolist() == [0, 0, 1, 1, 1]
    assert rows.accuracy(lambda inputs: np.eye(7)[inputs["attention_mask"].sum(1) + 1]) == 1 / 3


def test_the_best_peer_is_one_that_holds_the_limit(module: Any) -> None:
    program = module("compression.py")
    case = program.CASES[0]
    figures = {"ours": 1.0, "hasty": 0.5, "careful": 2.0, "slow": 4.0}
    drops = {"hasty": 1.4, "careful": 0.9, "slow": 0.0}
    sizes = {"hasty": 10e6, "careful": 40e6, "slow": 30e6}
    found = {
        "subjects": {name: {"single": {"p50_ms": value}} for name, value in figures.items()},
        "quality": {"of": {n: {"validation_drop_points": value} for n, value in drops.items()}},
        "ours_against": {name: {"single": {"ratio": figures[name], "low": 1}} for name in drops},
        "peers": [{"name": name, "bytes": size} for name, size in sizes.items()],
    }
    within = [one for one in found["peers"] if program.holds(case, one, found)]
    latency, size = program.best_rows(case, within, 15.0, found)
    assert (latency["peer"], latency["ratio"]) == ("careful", 2.0)
    assert (size["peer"], size["ratio"]) == ("slow", 2.0)
