"""OpenVINO with weights alone in 8 bits, one scale an output: a quarter of the size.

Activations stay in floats; embedding tables are stored in 8 bits too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.compress.passes import Material, Pass, Piece

if TYPE_CHECKING:
    from modelwright.models.checkpoint import TrainedModel

VERSION = 1
REQUIRES = {"torch": "train", "openvino": "openvino", "nncf": "openvino"}


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Int8Weights(Pass):
    """See the module."""

    group: ClassVar[str] = "quantize"
    order: ClassVar[int] = 90
    writes_form: ClassVar[bool] = True

    def misfit(self, model: TrainedModel) -> str:
        from modelwright.formats._openvino import has_attention

        return "" if has_attention(model) else "this backbone has no large linear layers"

    def apply(self, piece: Piece, choice: Mapping[str, Any], material: Material) -> Piece:
        """Write the form with the choice's `threads` and `streams`."""
        from modelwright.compress.passes._forms import openvino_form

        return openvino_form(piece, "int8-weights", choice, material)
