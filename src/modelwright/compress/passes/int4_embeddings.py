"""Static int8 with the word embeddings in 4 bits: the small form of a model with a vocabulary.

The table of words is often the larger part of a small model. Half of its bytes buy more words, or
more layers, than a limit on the size would let through otherwise; taking a row's numbers apart
costs some microseconds a call. All else is as in `int8-static`.
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
class Int4Embeddings(Pass):
    """See the module."""

    group: ClassVar[str] = "quantize"
    order: ClassVar[int] = 90
    writes_form: ClassVar[bool] = True

    def misfit(self, model: TrainedModel) -> str:
        from modelwright.runtime.machine import kernels

        if model.task.modality != "text":
            return "it reads images, which have no words"
        return "this processor has no int8 kernels" if kernels().int8 == "none" else ""

    def apply(self, piece: Piece, choice: Mapping[str, Any], material: Material) -> Piece:
        """Calibrate and write the form with the choice's `threads`, `streams` and `widths`."""
        from modelwright.compress.passes._forms import static_form

        return static_form(piece, choice, material, self.config.calibration_rows, embeddings=4)
