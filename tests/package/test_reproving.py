"""A compressed bundle's proof is repeated: elsewhere, without its rows, and where it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelwright.artifacts.bundle import read_bundle, seal_bundle
from modelwright.artifacts.dataset import Dataset
from modelwright.engines import Bundle
from modelwright.package import reproving
from modelwright.package.card import _compression
from modelwright.package.verifying import verify
from modelwright.pipeline.running import compression_lines
from modelwright.runtime.libraries import versions
from modelwright.runtime.machine import describe


def rows_of(dataset: Path) -> list[dict[str, Any]]:
    return Dataset.open(dataset).table("test").to_pylist()


def compressed(bundle: Path, rows: list[dict[str, Any]] | None, **proof: Any) -> Path:
    """The bundle as a compression leaves it: its int8 form chosen, the answers of both recorded."""
    manifest = read_bundle(bundle)
    names = [entry["name"] for entry in manifest["variants"]]
    assert "onnx-int8" in names
    manifest["default"] = "onnx-int8"
    if rows is not None:
        answers = {name: answers_of(bundle, name, rows) for name in ("torch-fp32", "onnx-int8")}
        lines = [
            {"input": row["text"], "row": {"text": row["text"], "label": row["label"]},
             "baseline": [before], "answer": [after]}
            for row, before, after in zip(rows, *answers.values(), strict=True)
        ]  # fmt: skip
        (bundle / "proof").mkdir()
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (bundle / "proof" / "rows.jsonl").write_text(text, encoding="utf-8")
    manifest["compression"] = {
        "status": "met", "chosen": "p1", "main": "accuracy", "request": {"max_drop": 20.0},
        "points": [{"id": "p1", "label": "int8-dynamic", "bytes": 3_200_000}],
        "baseline": {"bytes": 91_000_000}, "machine": describe(),
        "shapes": [{"batch": 2, "length": 8, "weight": 1.0}],
        "proof": {
            "flags": describe()["flags"], "versions": versions("onnxruntime", "torch"),
            "test": {"bound_points": 0.71, "max_drop": 1.0, "rows": 1500, "method": "Tango"},
            "latency": {"ratio": 14.4, "low": 14.1, "high": 14.8, "runs": 1000, "p50_ms": 0.41,
                        "baseline_p50_ms": 5.9},
            "coverage": {"held_out_rows": 1500, "rows_unchanged": 1420, "share": 0.947},
        } | proof,
    }  # fmt: skip
    seal_bundle(bundle, manifest)
    return bundle


def answers_of(bundle: Path, variant: str, rows: list[dict[str, Any]]) -> list[Any]:
    opened = Bundle.open(bundle, variant)
    found = opened.logits(opened.encode([row["text"] for row in rows]))
    opened.close()
    return [one.tolist() for one in found]


def test_on_the_same_machine_the_test_is_repeated_and_holds(bundle: Path, dataset: Path) -> None:
    rows = rows_of(dataset)
    found = verify(compressed(bundle, rows))
    assert found.holds
    assert found.proof is not None
    assert (found.proof.rows, found.proof.same, found.proof.differs) == (len(rows), 1.0, [])
    assert f"the test was repeated on {len(rows)} rows and holds (bound" in found.proof.sentence


def test_the_test_is_repeated_with_its_own_seed(
    bundle: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    real = reproving.noninferiority

    def bounded(*evidence: Any, seed: int) -> Any:
        seeds.append(seed)
        return real(*evidence, seed=seed)

    monkeypatch.setattr(reproving, "noninferiority", bounded)
    verify(compressed(bundle, rows_of(dataset), test={"seed": 7}))
    assert seeds == [7]


def test_the_race_is_repeated_too(bundle: Path, dataset: Path) -> None:
    found = verify(compressed(bundle, rows_of(dataset)))
    assert found.proof is not None
    speed = found.proof.speed
    assert speed is not None
    assert 0 < speed["low"] <= speed["ratio"] <= speed["high"]
    assert "times as fast as the uncompressed model here" in found.proof.sentence
    assert "14.4 there" in found.proof.sentence


def test_another_machine_on_which_the_test_holds_is_told_and_passes(
    bundle: Path, dataset: Path
) -> None:
    elsewhere = {"flags": ["amx_int8"], "versions": {"onnxruntime": "1.0.0"}}
    found = verify(compressed(bundle, rows_of(dataset), **elsewhere))
    assert found.holds
    assert found.proof is not None
    assert "without amx_int8" in found.proof.sentence
    assert "instead of 1.0.0" in found.proof.sentence
    assert "and holds" in found.proof.sentence


def test_without_its_rows_a_proof_holds_only_on_a_machine_like_its_own(bundle: Path) -> None:
    found = verify(compressed(bundle, None))
    assert found.holds
    assert found.proof is not None
    assert "could not be repeated" in found.proof.sentence
    found = verify(compressed(bundle, None, flags=["amx_int8"]))
    assert [problem.code for problem in found.problems] == ["MW-607"]
    assert "does not carry over" in found.problems[0].seen


def test_a_drop_that_is_too_large_here_fails(bundle: Path, dataset: Path) -> None:
    """Rows on which the recorded baseline was right and the variant in the bundle is not."""
    rows = rows_of(dataset)
    opened = Bundle.open(compressed(bundle, rows))
    labels = opened.task.spec.labels
    path = bundle / "proof" / "rows.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for line, answer in zip(lines, opened.predict([row["text"] for row in rows]), strict=True):
        other = next(label for label in labels if label != answer["label"])
        line["row"]["label"] = other
        line["baseline"] = [[9.0 if label == other else 0.0 for label in labels]]
    opened.close()
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    seal_bundle(bundle, read_bundle(bundle))
    found = verify(bundle)
    assert [problem.code for problem in found.problems] == ["MW-607"]
    assert "does NOT hold" in found.problems[0].seen
    assert found.proof is not None
    assert found.proof.drop_points == 100.0


def test_a_runtime_that_is_missing_is_named(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, dataset: Path
) -> None:
    manifest = read_bundle(compressed(bundle, rows_of(dataset)))
    manifest["default"] = "torch-fp32"
    seal_bundle(bundle, manifest)
    for name in [name for name in sys.modules if name.partition(".")[0] == "torch"]:
        monkeypatch.setitem(sys.modules, name, None)
    (problem,) = verify(bundle).problems
    assert problem.code == "MW-607"
    assert "torch is not installed" in problem.seen
    assert problem.fix == 'pip install "modelwright[torch]"'


@pytest.mark.parametrize(
    "environment",
    [{"OMP_NUM_THREADS": "2"}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}, {"DNNL_MAX_CPU_ISA": "AVX2"}],
    ids=["threads", "without-avx512", "without-avx512-by-its-old-name"],
)
def test_in_a_process_of_another_kind_the_proof_holds_and_the_difference_is_told(
    bundle: Path, dataset: Path, environment: dict[str, str]
) -> None:
    compressed(bundle, rows_of(dataset))
    done = subprocess.run(
        [sys.executable, "-m", "modelwright", "verify", str(bundle), "--json"],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    proof = json.loads(done.stdout)["proof"]
    assert proof["holds"]
    hidden = "OMP_NUM_THREADS" not in environment
    expected = hidden and any("512" in flag for flag in describe()["flags"])  # type: ignore[attr-defined]
    assert any("avx512f" in told for told in proof["differs"]) == expected


def test_the_card_and_the_summary_say_what_was_reached(bundle: Path) -> None:
    told = read_bundle(compressed(bundle, None))["compression"]
    card = "\n".join(_compression(told))
    assert "3.2 MB instead of 91.0, and 14.4 times faster" in card
    assert "at most 0.71 points of accuracy at 95% confidence" in card
    assert "94.7% of 1,500 held-out rows" in card
    smaller, proven = compression_lines(told)
    assert smaller == (
        "smaller   int8-dynamic: 14.4 times faster (14.1 to 14.8), 3.2 MB instead of 91"
    )
    assert "at most 0.71 points of accuracy, 1 allowed" in proven
    assert _compression(None) == []
