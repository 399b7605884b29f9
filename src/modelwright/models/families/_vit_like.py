"""Where the parts are in ViT and in the families whose code was copied from it."""

from __future__ import annotations

from typing import Any

from modelwright.models.families import Block


def block(layer: Any) -> Block:
    """The parts of a layer."""
    attention, mlp = layer.attention, layer.mlp
    return Block(
        attention.q_proj,
        attention.k_proj,
        attention.v_proj,
        attention.o_proj,
        mlp.fc1,
        mlp.fc2,
        attention.head_dim,
    )
