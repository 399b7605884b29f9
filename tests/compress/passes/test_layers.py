"""Layer dropping beyond what every pass is held to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from modelwright import plugs
from modelwright.compress.passes import Material, Piece
from modelwright.models.checkpoint import TrainedModel

PLUG = plugs.load("pass", "layers")


def test_the_layers_that_stay_are_the_ones_named(
    learnt: TrainedModel, sentences: list[dict[str, Any]], tmp_path: Path
) -> None:
    material = Material(learnt, sentences, tmp_path, 0, settings=None)  # type: ignore[arg-type]
    piece = PLUG.cls(PLUG.config()).apply(Piece(learnt), {"kept": [1]}, material)
    assert piece.facts == {"kept": 1, "before": 2}
    made, whole = (model.network.state_dict() for model in (piece.model, learnt))
    name = "backbone.encoder.layer.{}.intermediate.dense.weight"
    assert torch.equal(made[name.format(0)], whole[name.format(1)])
    assert name.format(1) not in made
    assert piece.model.network.backbone.config.num_hidden_layers == 1  # type: ignore[union-attr]
