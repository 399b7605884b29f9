"""OpenVINO with weights stored in half precision: half the size, computed in fp32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.compress.passes import Material, Pass, Piece

if TYPE_CHECKING:
    from modelwright.models.checkpoint import TrainedModel

VERSION = 1
REQUIRES = {"torch": "train", "openvino": "openvino"}


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class FP16(Pass):
    """See the module."""

    group: ClassVar[str] = "quantize"
    order: ClassVar[int] = 90
    writes_form: ClassVar[bool] = True

    def misfit(self, model: TrainedModel) -> str:
        return ""

    def apply(self, piece: Piece, choice: Mapping[str, Any], material: Material) -> Piece:
        """Write the form with the choice's `threads` and `streams`."""
        from modelwright.compress.passes._forms import openvino_form

        return openvino_form(piece, "fp16", choice, material)
