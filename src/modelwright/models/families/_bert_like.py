"""Where the parts are in BERT and in the families whose code was copied from it."""

from __future__ import annotations

from typing import Any

from modelwright.models.families import Block


def layers(backbone: Any) -> Any:
    """The encoder's layers."""
    return backbone.encoder.layer


def block(layer: Any) -> Block:
    """The parts of a layer."""
    attention = layer.attention.self
    return Block(
        attention.query,
        attention.key,
        attention.value,
        layer.attention.output.dense,
        layer.intermediate.dense,
        layer.output.dense,
        attention.attention_head_size,
    )


def grow_types(backbone: Any, types: int) -> None:
    """As `Family.grow_types`."""
    import torch

    old = backbone.embeddings.token_type_embeddings
    new = torch.nn.Embedding(types, old.embedding_dim)
    with torch.no_grad():
        new.weight.copy_(old.weight[:1].expand(types, -1))
        new.weight[: old.num_embeddings] = old.weight
    backbone.embeddings.token_type_embeddings = new
    backbone.config.type_vocab_size = types
