"""Layer dropping: some of the encoder's layers are left out, the others stay as they are."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.compress.passes import Material, Pass, Piece

if TYPE_CHECKING:
    from modelwright.models.checkpoint import TrainedModel

VERSION = 1
REQUIRES = {"torch": "train"}


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Layers(Pass):
    """See the module."""

    group: ClassVar[str] = "layers"
    order: ClassVar[int] = 20

    def misfit(self, model: TrainedModel) -> str:
        from modelwright.compress.cutting import uncuttable

        return uncuttable(model, "layers")

    def apply(self, piece: Piece, choice: Mapping[str, Any], material: Material) -> Piece:
        """Keep the layers of `kept`, numbered from 0."""
        from modelwright.compress.gates import family_of
        from modelwright.models.checkpoint import TrainedModel

        model = piece.model
        network = copy.deepcopy(model.network)
        family = family_of(network.backbone)
        before = len(family.layers(network.backbone))
        family.keep_layers(network.backbone, list(choice["kept"]))
        made = TrainedModel(model.task, model.encoder, network)
        return Piece(made, facts={"kept": len(choice["kept"]), "before": before})
