"""int4-weights: smaller than int8, for linear layers only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from modelwright import plugs
from modelwright.compress.passes import Piece

if TYPE_CHECKING:
    from modelwright.compress.passes import Material
    from modelwright.models.checkpoint import TrainedModel

PLUG = plugs.load("pass", "int4-weights")


def test_linear_layers_take_half_a_byte_a_weight(teacher: TrainedModel, material: Material) -> None:
    sizes = {}
    for name in ("int8-weights", "int4-weights"):
        plug = plugs.load("pass", name)
        form = plug.cls(plug.config()).apply(Piece(teacher), {}, material).form
        assert form is not None
        sizes[name] = (form.folder / "model.bin").stat().st_size
    linear = sum(
        layer.weight.numel()
        for layer in teacher.network.backbone.modules()
        if isinstance(layer, torch.nn.Linear)
    )
    assert sizes["int8-weights"] - sizes["int4-weights"] > 0.4 * linear


def test_neurons_that_no_group_divides_are_still_packed(
    teacher: TrainedModel, material: Material
) -> None:
    layer = teacher.network.backbone.encoder.layer[0]
    layer.intermediate.dense = torch.nn.Linear(128, 37)
    layer.output.dense = torch.nn.Linear(37, 128)
    form = PLUG.cls(PLUG.config()).apply(Piece(teacher), {}, material).form
    assert form is not None
    assert (form.folder / "model.bin").is_file()
