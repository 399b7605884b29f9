"""fp16: half the size, computed in fp32."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwright import plugs
from modelwright.compress.passes import Piece
from modelwright.engines._runtime import read_runtime

if TYPE_CHECKING:
    from modelwright.compress.passes import Material
    from modelwright.models.checkpoint import TrainedModel

PLUG = plugs.load("pass", "fp16")


def test_weights_take_two_bytes_and_sums_stay_in_fp32(
    teacher: TrainedModel, material: Material
) -> None:
    form = PLUG.cls(PLUG.config()).apply(Piece(teacher), {}, material).form
    assert form is not None
    assert read_runtime(form.folder).inference_precision == "f32"
    weights = sum(4 * weight.numel() for weight in teacher.network.parameters())
    assert (form.folder / "model.bin").stat().st_size < 0.55 * weights
