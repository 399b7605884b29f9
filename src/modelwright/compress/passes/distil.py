"""Distillation: the smaller network learns to answer as the uncompressed one does.

Training rows, further rows without labels, and varied and mixed copies of both are answered by the
teacher as they come; the student follows its answers, its hidden states and, where asked, the relations of
its last layer (see compress/teaching.py). A pass that was cut off goes on where it was.

    compress: {passes: [layers, {distil: {relation: 0.0}}, quantize]}
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.compress.passes import Material, Pass, Piece

if TYPE_CHECKING:
    from modelwright.models.checkpoint import TrainedModel

VERSION = 4
REQUIRES = {"torch": "train", "transformers": "train"}


class Config(BaseModel):
    """Options of the pass."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    temperature: float = Field(2.0, gt=0, description="Softens the answers that are compared.")
    labels: float = Field(0.5, ge=0, description="Weight of the true labels' loss.")
    hidden: float = Field(1.0, ge=0, description="Weight of the hidden states' distance.")
    relation: float = Field(1.0, ge=0, description="Weight of the last layer's value relations.")
    mixed: float = Field(0.5, ge=0, le=1, description="Share of text rows that end as others do.")
    varied: float = Field(0.5, ge=0, le=1, description="Share of text rows that are varied.")
    replaced: float = Field(0.15, ge=0, le=1, description="Share of pieces replaced in those.")


@final
class Distil(Pass):
    """See the module."""

    group: ClassVar[str] = "distil"
    order: ClassVar[int] = 50

    def misfit(self, model: TrainedModel) -> str:
        return ""

    def apply(self, piece: Piece, choice: Mapping[str, Any], material: Material) -> Piece:
        """Teach a copy of the piece's network.

        Args:
            choice: `epochs`; `layers`, the teacher's layer that each layer follows (none: hidden
                states are not compared); `rate`, where it is not derived.
        """
        from modelwright.compress.classroom import teach
        from modelwright.models.checkpoint import TrainedModel

        student = piece.model
        network = copy.deepcopy(student.network)
        taught = TrainedModel(student.task, student.encoder, network)
        facts = teach(taught, self.config.model_dump(), choice, material)
        return Piece(taught, facts=facts)
