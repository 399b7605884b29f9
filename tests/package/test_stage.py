"""Packaging proves what it packs: gates, what is left out, and the same answers where torch is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

import modelwright
from modelwright import plugs
from modelwright.artifacts.dataset import Dataset
from modelwright.engines import Bundle
from modelwright.errors import GateError
from modelwright.package import proving
from modelwright.package.benching import bench
from modelwright.package.stage import PackageRequest, run
from modelwright.package.verifying import read_golden, verify
from modelwright.recipe.schema import Package, Part

if TYPE_CHECKING:
    from modelwright.models.checkpoint import TrainedModel

DAMAGING = '''
"""ONNX whose weights were damaged after they were written."""
from dataclasses import replace
import numpy as np
import onnx
from onnx import numpy_helper
from pydantic import BaseModel
from modelwright import plugs
from modelwright.formats import Format

VERSION = 1


class Config(BaseModel):
    noise: float
    exact: bool = True


class Damaging(Format):
    def write(self, model, variants):
        plug = plugs.load("format", "onnx")
        (draft,) = plug.cls(plug.config(int8=False)).write(model, variants)
        path = str(variants / draft.name / "model.onnx")
        graph = onnx.load(path)
        for weight in graph.graph.initializer:
            values = numpy_helper.to_array(weight)
            if values.dtype == np.float32 and values.ndim == 2:
                noise = np.random.default_rng(0).normal(0, self.config.noise, values.shape)
                changed = (values + noise).astype(np.float32)
                weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
        onnx.save(graph, path)
        return [replace(draft, exact=self.config.exact)]
'''


@pytest.fixture
def damaging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A format of another package, installed beside ours."""
    (tmp_path / "damaging_format.py").write_text(DAMAGING)
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("damaging", "damaging_format", "modelwright.format")
    known = plugs._external
    monkeypatch.setattr(
        plugs, "_external", lambda kind: {"damaging": point} if kind == "format" else known(kind)
    )
    plugs.load.cache_clear()
    return "damaging"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "SPEED_SECONDS", 0.01)


def package(
    checkpoint: Path, dataset: Path, folder: Path, *formats: Part, **values: Any
) -> dict[str, Any]:
    folder.mkdir()
    section = Package(formats=list(formats), **{"golden": 4, **values})
    return run(
        PackageRequest(
            name="again", package=section, checkpoint=checkpoint, dataset=Dataset.open(dataset),
            slo={}, lineage={"recipe": "r", "data": "d"}, seed=0, folder=folder,
        )
    )  # fmt: skip


def test_a_form_that_answers_otherwise_stops_the_run(
    checkpoint: Path, dataset: Path, tmp_path: Path, damaging: str
) -> None:
    with pytest.raises(GateError) as caught:
        package(checkpoint, dataset, tmp_path / "b", Part(name=damaging, options={"noise": 1.0}))
    (problem,) = caught.value.problems
    assert problem.code == "MW-501"
    assert caught.value.exit_code == 3
    assert "onnx-fp32" in problem.seen
    assert not (tmp_path / "b" / "bundle.json").exists()


def test_a_form_whose_logits_differ_stops_the_run_even_where_labels_agree(
    checkpoint: Path, dataset: Path, tmp_path: Path, damaging: str
) -> None:
    with pytest.raises(GateError, match="MW-501"):
        package(checkpoint, dataset, tmp_path / "b", Part(name=damaging, options={"noise": 0.01}))


def test_rounding_is_no_disagreement(
    checkpoint: Path, dataset: Path, tmp_path: Path, damaging: str
) -> None:
    part = Part(name=damaging, options={"noise": 1e-7})
    assert package(checkpoint, dataset, tmp_path / "b", part)["default"] == "onnx-fp32"


def test_a_smaller_form_that_loses_too_much_is_left_out_with_the_reason(
    checkpoint: Path, dataset: Path, tmp_path: Path, damaging: str, trained: TrainedModel
) -> None:
    part = Part(name=damaging, options={"noise": 3.0, "exact": False})
    parts = [Part(name="torch"), part]
    manifest = package(checkpoint, dataset, tmp_path / "b", *parts, max_drop=1.0)
    assert [entry["name"] for entry in manifest["variants"]] == ["torch-fp32"]
    (left,) = manifest["left_out"]
    assert left["name"] == "onnx-fp32"
    assert "points of accuracy, 1.0 allowed" in left["reason"]
    assert not (tmp_path / "b" / "variants" / "onnx-fp32").exists()
    assert verify(tmp_path / "b").holds


def test_what_is_promised_of_bundle_json_is_there(tiny_bundle: Path) -> None:
    manifest = json.loads((tiny_bundle / "bundle.json").read_text(encoding="utf-8"))
    promised = (
        "schema name version task created base labels input output limits quality variants default "
        "compression lineage files"
    )
    assert set(promised.split()) <= set(manifest)
    assert manifest["labels"] == ["close_account", "gift_card", "late_delivery", "refund_status"]
    assert manifest["limits"]["max_tokens"] > 0
    for quality in (manifest["quality"], *(entry["quality"] for entry in manifest["variants"])):
        assert quality["rows"] == 32
        for metric in quality["metrics"].values():
            assert metric["low"] <= metric["value"] <= metric["high"]
    for entry in manifest["variants"]:
        folder = tiny_bundle / "variants" / entry["name"]
        assert entry["bytes"] == sum(path.stat().st_size for path in folder.iterdir())
        assert {"rows", "agreement", "max_abs_diff"} <= set(entry["parity"])
        assert {"batch", "length", "p50_ms", "p95_ms", "per_second"} <= set(entry["speed"][0])
    for schema in (manifest["input"], manifest["output"]):
        jsonschema.Draft202012Validator.check_schema(schema)


def test_exact_forms_agree_and_the_default_is_the_fastest(tiny_bundle: Path) -> None:
    manifest = json.loads((tiny_bundle / "bundle.json").read_text(encoding="utf-8"))
    by_name = {entry["name"]: entry for entry in manifest["variants"]}
    for name in ("torch-fp32", "onnx-fp32"):
        assert by_name[name]["parity"]["agreement"] == 1.0
        assert by_name[name]["parity"]["max_abs_diff"] < 1e-4
        assert by_name[name]["drop_points"] == 0.0
    times = {name: entry["speed"][0]["p50_ms"] for name, entry in by_name.items()}
    assert times[manifest["default"]] == min(times.values())
    assert manifest["quality"] == by_name[manifest["default"]]["quality"]


def test_no_bundle_holds_pickles_or_rows_of_the_training_data(tiny_bundle: Path) -> None:
    names = {path.suffix for path in tiny_bundle.rglob("*") if path.is_file()}
    assert names <= {".json", ".jsonl", ".md", ".onnx", ".safetensors"}
    train = (tiny_bundle.parents[2] / "train.csv").read_text(encoding="utf-8").splitlines()
    shown = "".join(
        path.read_text(encoding="utf-8") for path in (tiny_bundle / "reference").iterdir()
    )
    assert not [line for line in train[1:] if line.split(",")[0] in shown]


def test_the_card_says_quality_variants_data_and_lineage(tiny_bundle: Path) -> None:
    card = (tiny_bundle / "card.md").read_text(encoding="utf-8")
    manifest = json.loads((tiny_bundle / "bundle.json").read_text(encoding="utf-8"))
    for said in (*manifest["labels"], "scratch:tiny", "32 test rows", "onnx-int8", "## Lineage"):
        assert said in card


def test_bench_measures_every_variant(tiny_bundle: Path) -> None:
    found = bench(tiny_bundle)
    assert [entry["name"] for entry in found] == ["torch-fp32", "onnx-fp32", "onnx-int8"]
    for entry in found:
        assert entry["first_answer_ms"] > 0
        assert all(shape["p50_ms"] > 0 for shape in entry["speed"])


@pytest.mark.parametrize("variant", ["onnx-fp32", "onnx-int8"])
def test_an_answer_does_not_depend_on_the_company_in_its_batch(
    tiny_bundle: Path, variant: str
) -> None:
    golden = list(read_golden(tiny_bundle))
    bundle = Bundle.open(tiny_bundle, variant)
    inputs = [row["input"] for row in golden]
    crowd = [*inputs, "x", "a very long text that goes on and on " * 8, "！！！"]
    together = bundle.predict(crowd)[: len(inputs)]
    backwards = bundle.predict(crowd[::-1])[::-1][: len(inputs)]
    for row, one, other in zip(golden, together, backwards, strict=True):
        recorded = row["outputs"][variant]
        assert one["label"] == other["label"] == recorded["label"]
        assert one["score"] == pytest.approx(recorded["score"], abs=1e-4)
        assert other["score"] == pytest.approx(recorded["score"], abs=1e-4)


PREDICT = """
import json, sys
for name in ("torch", "transformers", "onnx", "sklearn", "scipy", "pyarrow"):
    sys.modules[name] = None
from modelwright import Bundle
bundle = Bundle.open(sys.argv[1], "onnx-fp32")
answers = bundle.predict(json.loads(sys.stdin.read()))
bundle.close()
print(json.dumps(answers))
"""


def test_a_fresh_process_without_torch_answers_as_the_trained_model(
    tiny_bundle: Path, trained: TrainedModel
) -> None:
    inputs = [row["input"] for row in read_golden(tiny_bundle)] + [
        "😀",
        "我的订单在哪里",
        "x" * 900,
    ]
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, str(tiny_bundle)],
        input=json.dumps(inputs), capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(modelwright.__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    answers, expected = json.loads(done.stdout), trained.predict(inputs)
    assert trained.task.agreement(answers, expected) == 1.0
    for one, other in zip(answers, expected, strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)
