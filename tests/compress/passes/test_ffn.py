"""Cutting neurons beyond what every pass is held to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from modelwright import plugs
from modelwright.compress.passes import Material, Piece
from modelwright.models.checkpoint import TrainedModel

PLUG = plugs.load("pass", "ffn")


def test_the_rows_and_columns_of_the_named_neurons_stay(
    learnt: TrainedModel, sentences: list[dict[str, Any]], tmp_path: Path
) -> None:
    material = Material(learnt, sentences, tmp_path, 0, settings=None)  # type: ignore[arg-type]
    choice = {"kept": [[3, 5, 8], list(range(512))]}
    piece = PLUG.cls(PLUG.config()).apply(Piece(learnt), choice, material)
    made, whole = (model.network.backbone.encoder.layer for model in (piece.model, learnt))  # type: ignore[union-attr]
    assert torch.equal(
        made[0].intermediate.dense.weight, whole[0].intermediate.dense.weight[[3, 5, 8]]
    )
    assert torch.equal(made[0].output.dense.weight, whole[0].output.dense.weight[:, [3, 5, 8]])
    config: Any = piece.model.network.backbone.config
    assert [size["neurons"] for size in config.block_sizes] == [3, 512]
