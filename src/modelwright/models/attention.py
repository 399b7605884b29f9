"""Attention in single precision while the rest of a network trains in bf16 on the CPU.

torch's CPU attention kernel has a backward pass in bf16 that took 18 ms a layer where fp32 took 3
(32 rows of 14 tokens): more than a third of a training step (docs/lab.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

NAME = "modelwright_fp32"


@contextmanager
def fast_attention(backbone: Any, precision: str) -> Iterator[None]:
    """Within the block, `backbone` attends in fp32 where that is the faster way."""
    config = backbone.config
    slow = precision == "bf16" and next(backbone.parameters()).device.type == "cpu"
    if not slow or getattr(config, "_attn_implementation", None) != "sdpa":
        yield
        return
    _register()
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = "sdpa"


def _register() -> None:
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """As transformers' attention functions: [B, H, T, d] each to [B, T, H, d]."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if mask is not None and mask.is_floating_point():
        mask = mask.float()
    with torch.autocast("cpu", enabled=False):
        output, _ = sdpa_attention_forward(
            module, query.float(), key.float(), value.float(), mask, **options
        )
    return output.to(query.dtype), None
