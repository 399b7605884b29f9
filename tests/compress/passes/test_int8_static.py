"""int8-static: calibrated on training rows, integers everywhere it counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from modelwright import plugs
from modelwright.compress.passes import Piece
from modelwright.engines._bundle import open_variant
from modelwright.engines._runtime import read_runtime
from modelwright.runtime import machine
from modelwright.runtime.libraries import openvino
from modelwright.runtime.machine import kernels

if TYPE_CHECKING:
    from modelwright.compress.passes import Material
    from modelwright.models.checkpoint import TrainedModel

PLUG = plugs.load("pass", "int8-static")


def apply(model: TrainedModel, material: Material, **options: Any) -> Piece:
    return PLUG.cls(PLUG.config(**options)).apply(Piece(model), {}, material)


def test_weights_take_one_byte_and_attention_is_fused(
    teacher: TrainedModel, material: Material
) -> None:
    piece = apply(teacher, material)
    assert piece.form is not None
    layers = teacher.network.backbone.config.num_hidden_layers
    fused = layers if kernels().fuses_int8 else 0
    assert piece.facts["fusions"] == {"attention": fused, "layers": layers}
    assert piece.facts["calibration_rows"] == min(128, len(material.rows))
    weights = sum(4 * weight.numel() for weight in teacher.network.parameters())
    assert (piece.form.folder / "model.bin").stat().st_size < 0.3 * weights


def test_the_same_rows_and_seed_give_the_same_bytes(
    teacher: TrainedModel, material: Material
) -> None:
    contents = []
    for _ in range(2):
        form = apply(teacher, material, calibration_rows=16).form
        assert form is not None
        contents.append((form.folder / "model.bin").read_bytes())
    assert contents[0] == contents[1]


def test_no_answer_depends_on_the_rest_of_the_batch(
    teacher: TrainedModel, material: Material
) -> None:
    form = apply(teacher, material).form
    assert form is not None
    variant = open_variant(form.folder, "openvino", teacher.task, teacher.encoder)
    features = variant.encode([teacher.task.example(row) for row in material.rows])
    alone = [variant.logits([one])[0] for one in features]
    assert np.array_equal(variant.logits(features), alone)


def test_a_processor_without_dot_products_gets_seven_bits(
    teacher: TrainedModel, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(machine.describe(), "flags", ["avx2", "f16c"])
    piece = apply(teacher, material, calibration_rows=16)
    assert piece.facts["kernels"]["int8_saturates"]
    assert piece.form is not None
    assert read_runtime(piece.form.folder).inference_precision == "f32"
    graph = openvino().Core().read_model(piece.form.folder / "model.xml")
    tables = [node.data for node in graph.get_ops() if node.get_type_name() == "Constant"]
    square = [table for table in tables if table.dtype == np.int8 and table.shape == (128, 128)]
    assert len(square) == 8
    assert max(np.abs(table.astype(int)).max() for table in square) <= 64
    monkeypatch.setitem(machine.describe(), "flags", [])
    assert PLUG.cls(PLUG.config()).misfit(teacher) == "this processor has no int8 kernels"
