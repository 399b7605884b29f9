"""What the structural passes share: whether a model can be cut, and cutting every layer."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from modelwright import plugs
from modelwright.compress.gates import family_of
from modelwright.compress.passes import Material, Piece
from modelwright.compress.reconstruct import refit
from modelwright.models.checkpoint import TrainedModel


def uncuttable(model: TrainedModel, cut: str) -> str:
    """Why a model's `cut` (vocabulary, layers, heads, ffn) cannot be cut, or nothing."""
    kind = str(model.network.backbone.config.model_type)  # type: ignore[union-attr]
    if not plugs.exists("family", kind):
        return f"there is no family file for `{kind}`"
    if cut not in plugs.load("family", kind).cls.cuts:
        return f"the family `{kind}` does not tell where its {cut} can be cut"
    return ""


def cut_layers(piece: Piece, choice: Mapping[str, Any], material: Material, what: str) -> Piece:
    """Keep heads (`what` is "heads") or neurons ("ffn") of every layer.

    Args:
        choice: `kept`, a list of indices for each layer; `reconstruct` to refit what follows them.
    """
    model = piece.model
    network = copy.deepcopy(model.network)
    backbone = network.backbone
    family = family_of(backbone)
    keep = family.keep_heads if what == "heads" else family.keep_neurons
    for layer, kept in enumerate(choice["kept"]):
        keep(backbone, layer, list(kept))
    made = TrainedModel(model.task, model.encoder, network)
    if choice.get("reconstruct"):
        part = (lambda block: block.output) if what == "heads" else (lambda block: block.down)
        refit(made, _model_answer(made, model, material), material.rows, part, material.seed)
    kept = sum(map(len, choice["kept"]))
    return Piece(made, facts={"kept": kept, "reconstructed": bool(choice.get("reconstruct"))})


def _model_answer(made: TrainedModel, before: TrainedModel, material: Material) -> TrainedModel:
    """What a cut network should say: as the teacher does where it has as many layers, so that a
    second cut also makes up for the first; else as the network before this cut."""
    depths = [
        len(family_of(model.network.backbone).layers(model.network.backbone))
        for model in (made, material.teacher)
    ]
    return material.teacher if depths[0] == depths[1] else before
