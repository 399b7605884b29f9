"""ONNX in fp32 and int8: what is written, fused, and said while it is done."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch

from modelwright import plugs
from modelwright.engines._bundle import open_variant
from modelwright.formats import _onnx, _openvino
from modelwright.models.bases import resolve
from modelwright.models.checkpoint import TrainedModel
from modelwright.models.preparing import Shape, prepare
from modelwright.tasks import TaskSpec

if TYPE_CHECKING:
    from modelwright.formats import Draft

PLUG = plugs.load("format", "onnx")
TEXTS = ["where is my refund", "close the account " * 9, "订单"]


def written(model: TrainedModel, folder: Path, **options: Any) -> dict[str, Draft]:
    drafts = PLUG.cls(PLUG.config(**options)).write(model, folder)
    return {draft.name: draft for draft in drafts}


def test_fp32_is_exact_and_int8_runs_one_row_at_a_time(
    trained: TrainedModel, tmp_path: Path
) -> None:
    drafts = written(trained, tmp_path)
    assert drafts["onnx-fp32"].exact
    assert drafts["onnx-fp32"].batch_invariant
    assert not drafts["onnx-int8"].exact
    assert not drafts["onnx-int8"].batch_invariant
    sizes = {name: (tmp_path / name / "model.onnx").stat().st_size for name in drafts}
    assert sizes["onnx-int8"] < 0.5 * sizes["onnx-fp32"]


def test_int8_can_be_left_out(trained: TrainedModel, tmp_path: Path) -> None:
    assert list(written(trained, tmp_path, int8=False)) == ["onnx-fp32"]
    assert [path.name for path in tmp_path.iterdir()] == ["onnx-fp32"]


def test_attention_and_layer_norms_are_fused(trained: TrainedModel, tmp_path: Path) -> None:
    written(trained, tmp_path, int8=False)
    graph = onnx.load(tmp_path / "onnx-fp32" / "model.onnx").graph
    kinds = {node.op_type for node in graph.node}
    assert {"Attention", "SkipLayerNormalization"} <= kinds
    assert "Softmax" not in kinds


def test_any_batch_and_length_can_be_run(trained: TrainedModel, tmp_path: Path) -> None:
    drafts = written(trained, tmp_path, int8=False)
    place = tmp_path / "onnx-fp32"
    variant = open_variant(place, drafts["onnx-fp32"].engine, trained.task, trained.encoder)
    features = variant.encode([*TEXTS, "", "word " * 5000])
    for chosen in (features, features[:1], features[-1:], features * 4):
        pairs = zip(trained.logits(chosen), variant.logits(chosen), strict=True)
        assert max(np.abs(one - other).max() for one, other in pairs) < 1e-4


def test_nothing_is_said_and_logging_stays_as_it_was(
    trained: TrainedModel, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = (logging.root.level, logging.root.manager.disable)
    capfd.readouterr()
    written(trained, tmp_path)
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")
    assert (logging.root.level, logging.root.manager.disable) == before


def test_exporting_leaves_the_trained_model_as_it_was(
    trained: TrainedModel, tmp_path: Path
) -> None:
    features = trained.task.encode(TEXTS, trained.encoder)
    before = trained.logits(features)
    kind, draw = trained.network.backbone.config._attn_implementation, torch.get_rng_state()
    written(trained, tmp_path)
    assert trained.network.backbone.config._attn_implementation == kind
    assert torch.equal(torch.get_rng_state(), draw)
    pairs = zip(trained.logits(features), before, strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("size", ["tiny", "vit-tiny"])
def test_images_are_exported_in_fp32_alone(tmp_path: Path, size: str) -> None:
    torch.manual_seed(0)
    task = plugs.load("task", "image-classification").cls(TaskSpec(labels=("a", "b")))
    shape = Shape(image_size=16, channels=1)
    model = prepare(resolve(f"scratch:{size}", "image", Path()), task, shape)
    drafts = written(model, tmp_path)
    assert list(drafts) == ["onnx-fp32"]
    variant = open_variant(tmp_path / "onnx-fp32", "onnxruntime", task, model.encoder)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 1), dtype=np.uint8)
    features = [{"pixels": one} for one in pixels]
    pairs = zip(model.logits(features), variant.logits(features), strict=True)
    assert max(np.abs(one - other).max() for one, other in pairs) < 1e-4


def test_a_vocabulary_of_a_few_pieces_can_be_exported(tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = plugs.load("task", "text-classification").cls(TaskSpec(labels=("a", "b")))
    base = resolve("scratch:tiny", "text", Path())
    model = prepare(base, task, Shape(max_tokens=16, vocabulary=12), ["ab", "ba"])
    assert model.network.backbone.config.vocab_size < 32
    written(model, tmp_path, int8=False)


def uneven(model: TrainedModel) -> TrainedModel:
    """The model with 1 and 3 heads, 32 and 480 neurons in its two layers."""
    from copy import deepcopy

    network = deepcopy(model.network)
    family, backbone = plugs.load("family", "bert").cls, network.backbone
    family.keep_heads(backbone, 0, [1])
    family.keep_heads(backbone, 1, [0, 2, 3])
    family.keep_neurons(backbone, 0, list(range(32)))
    family.keep_neurons(backbone, 1, list(range(480)))
    return TrainedModel(model.task, model.encoder, network)


@pytest.mark.parametrize(("name", "engine"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_layers_of_different_sizes_are_fused_too(
    trained: TrainedModel, tmp_path: Path, name: str, engine: str
) -> None:
    cut = uneven(trained)
    plug = plugs.load("format", name)
    draft = plug.cls(plug.config()).write(cut, tmp_path)[0]
    place = tmp_path / draft.name
    found = (
        _onnx.fused_attention(place / "model.onnx")
        if name == "onnx"
        else _openvino.fusions(place, cut)["attention"]
    )
    assert found == 2
    variant = open_variant(place, engine, cut.task, cut.encoder)
    features = variant.encode(TEXTS)
    pairs = zip(cut.logits(features), variant.logits(features), strict=True)
    assert max(np.abs(one - other).max() for one, other in pairs) < 1e-4
