"""ViT beyond what every family is held to."""

from __future__ import annotations

import pytest
import torch

from modelwright import plugs

CLS = plugs.load("family", "vit").cls


@pytest.mark.parametrize("side", [8, 16, 28, 56, 100])
def test_patches_are_an_eighth_of_the_side(side: int) -> None:
    backbone = CLS.build(CLS.config("vit-tiny", image_size=side, num_channels=1)).eval()
    with torch.inference_mode():
        hidden = backbone(pixel_values=torch.randn(1, 1, side, side)).last_hidden_state
    patches = (side // max(2, side // 8)) ** 2
    assert hidden.shape == (1, patches + 1, 128)


def test_there_is_no_pooler_and_the_fast_attention() -> None:
    backbone = CLS.build(CLS.config("vit-tiny", image_size=16, num_channels=3))
    assert backbone.pooler is None
    assert backbone.config._attn_implementation == "sdpa"
