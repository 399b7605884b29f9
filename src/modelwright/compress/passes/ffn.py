"""Feed-forward neurons: in each layer some are cut out, those that matter least first.

The cut is physical: matrices get smaller, layers may differ, and the configuration says by how
much (`block_sizes`). The matrix behind what was cut may be refitted by least squares.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.compress.passes import Material, Pass, Piece

if TYPE_CHECKING:
    from modelwright.models.checkpoint import TrainedModel

VERSION = 2
REQUIRES = {"torch": "train"}


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Ffn(Pass):
    """See the module."""

    group: ClassVar[str] = "ffn"
    order: ClassVar[int] = 40

    def misfit(self, model: TrainedModel) -> str:
        from modelwright.compress.cutting import uncuttable

        return uncuttable(model, "ffn")

    def apply(self, piece: Piece, choice: Mapping[str, Any], material: Material) -> Piece:
        """Keep what `kept` lists for each layer; `reconstruct` refits the matrix behind it."""
        from modelwright.compress.cutting import cut_layers

        return cut_layers(piece, choice, material, "ffn")
