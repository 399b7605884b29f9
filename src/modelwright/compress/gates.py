"""Gates on heads and neurons: a network as it would be with some of them cut, without cutting.

A gate multiplies a head's output before the output projection, or a neuron's before the second
feed-forward matrix. Gates of 0 and 1 are a mask; gates of 1 that want gradients tell how much each
head and neuron matters to each row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from modelwright import plugs


def family_of(backbone: Any) -> Any:
    """The family plug of a backbone.

    Raises:
        UserError: MW-105 where there is none.
    """
    return plugs.load("family", str(backbone.config.model_type)).cls


@contextmanager
def gated(
    network: Any, heads: Sequence[torch.Tensor], neurons: Sequence[torch.Tensor]
) -> Iterator[None]:
    """Within the block, each layer's heads and neurons are multiplied by its gates.

    Args:
        network: a Network whose family has blocks.
        heads: for each layer [H], or [B, H] for gates of each row.
        neurons: for each layer [F], or [B, F].
    """
    blocks = family_of(network.backbone).blocks(network.backbone)
    hooks = []
    for block, head, neuron in zip(blocks, heads, neurons, strict=True):
        hooks.append(block.output.register_forward_pre_hook(_gate(head, block.head_size)))
        hooks.append(block.down.register_forward_pre_hook(_gate(neuron, 1)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _gate(gates: torch.Tensor, width: int) -> Any:
    def multiply(_module: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        values = inputs[0]
        wide = gates.repeat_interleave(width, dim=-1).to(values.dtype)
        return (values * (wide if wide.ndim == 1 else wide[:, None, :]),)

    return multiply


def masks(kept: Sequence[Sequence[int]], sizes: Sequence[int]) -> list[torch.Tensor]:
    """Gates of 1 for what is kept and 0 for the rest."""
    found = []
    for indices, size in zip(kept, sizes, strict=True):
        mask = torch.zeros(size)
        mask[list(indices)] = 1.0
        found.append(mask)
    return found
