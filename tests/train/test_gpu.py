"""Training where torch sees a GPU; skipped elsewhere. Weights are at home on the CPU between stages."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
RECIPE = """
name: gpu
task: text-classification
base: scratch:tiny
data:
  columns: {text: text, label: label}
  splits: {train: train.csv, validation: 0.1, test: test.csv}
finetune: {epochs: 20, learning_rate: 2.0e-3}
evaluate: {suites: [quality]}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    words = {"money": ("refund", "price", "bill"), "post": ("parcel", "letter", "stamp")}
    for name, count in (("train", 40), ("test", 10)):
        with (tmp_path / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            for label, nouns in words.items():
                for number in range(count):
                    noun = nouns[number % 3]
                    writer.writerow([f"{name} question {number * 7} about a {noun}", label])
    path = tmp_path / "gpu.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


@pytest.mark.parametrize(("seen", "place"), [(True, "cuda"), (False, "cpu")])
def test_training_computes_on_a_gpu_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, seen: bool, place: str
) -> None:
    from modelwright.runtime import device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: seen)
    assert device.accelerator() == place


@needs_gpu
def test_a_recipe_trains_and_is_evaluated_with_a_gpu(recipe: Path) -> None:
    from modelwright.pipeline.running import run
    from modelwright.runtime import device
    from modelwright.runtime.files import read_json

    done = run(recipe, until="evaluate")
    rows = read_json(done.folder / "details" / "report.json")["rows"]
    training: dict[str, Any] = read_json(done.folder / "details" / "training.json")
    assert training["precision"] == device.fastest_precision()
    assert training["history"][-1]["loss"] < training["history"][0]["loss"]
    assert rows == 20
