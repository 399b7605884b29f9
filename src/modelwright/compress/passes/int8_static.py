"""OpenVINO in static int8: products in 8-bit integers, scales learnt from training rows.

Weights have a scale for each output, activations one for each tensor, for text smoothed into the
weights before (SmoothQuant); embedding tables are int8 too. Attention stays fused. Scales are fixed, so that
a row's answer is the same to the last bit whatever else is asked. What is not integer runs in
bfloat16 where the processor has it. Without 8-bit dot products (VNNI, AMX) weights keep to 7 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.compress.passes import Material, Pass, Piece

if TYPE_CHECKING:
    from modelwright.models.checkpoint import TrainedModel

VERSION = 1
REQUIRES = {"torch": "train", "openvino": "openvino", "nncf": "openvino"}


class Config(BaseModel):
    """Options of the pass."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    calibration_rows: int = Field(128, ge=8, description="Training rows that give the scales.")


@final
class Int8Static(Pass):
    """See the module."""

    group: ClassVar[str] = "quantize"
    order: ClassVar[int] = 90
    writes_form: ClassVar[bool] = True

    def misfit(self, model: TrainedModel) -> str:
        from modelwright.runtime.machine import kernels

        return "this processor has no int8 kernels" if kernels().int8 == "none" else ""

    def apply(self, piece: Piece, choice: Mapping[str, Any], material: Material) -> Piece:
        """Calibrate and write the form with the choice's `threads`, `streams` and `widths`."""
        from modelwright.compress.passes._forms import static_form

        return static_form(piece, choice, material, self.config.calibration_rows)
