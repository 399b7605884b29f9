"""Cutting heads beyond what every pass is held to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from modelwright import plugs
from modelwright.compress.passes import Material, Piece
from modelwright.models.checkpoint import TrainedModel

PLUG = plugs.load("pass", "heads")


def test_the_rows_and_columns_of_the_named_heads_stay(
    learnt: TrainedModel, sentences: list[dict[str, Any]], tmp_path: Path
) -> None:
    material = Material(learnt, sentences, tmp_path, 0, settings=None)  # type: ignore[arg-type]
    choice = {"kept": [[1], [0, 1, 2, 3]]}
    piece = PLUG.cls(PLUG.config()).apply(Piece(learnt), choice, material)
    made, whole = (model.network.backbone.encoder.layer for model in (piece.model, learnt))  # type: ignore[union-attr]
    attention, before = made[0].attention, whole[0].attention
    assert torch.equal(attention.self.value.weight, before.self.value.weight[32:64])
    assert torch.equal(attention.self.query.bias, before.self.query.bias[32:64])
    assert torch.equal(attention.output.dense.weight, before.output.dense.weight[:, 32:64])
    config: Any = piece.model.network.backbone.config
    assert [size["heads"] for size in config.block_sizes] == [1, 4]
    assert config.num_attention_heads == 4
    assert piece.facts == {"kept": 5, "reconstructed": False}
