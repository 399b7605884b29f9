"""int8-weights: a quarter of the size, embeddings counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwright import plugs
from modelwright.compress.passes import Piece

if TYPE_CHECKING:
    from modelwright.compress.passes import Material
    from modelwright.models.checkpoint import TrainedModel

PLUG = plugs.load("pass", "int8-weights")


def test_embeddings_and_linear_layers_take_one_byte_a_weight(
    teacher: TrainedModel, material: Material
) -> None:
    form = PLUG.cls(PLUG.config()).apply(Piece(teacher), {}, material).form
    assert form is not None
    weights = sum(4 * weight.numel() for weight in teacher.network.parameters())
    assert (form.folder / "model.bin").stat().st_size < 0.3 * weights
