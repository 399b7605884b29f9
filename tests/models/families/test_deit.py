"""DeiT beyond what every family is held to."""

from __future__ import annotations

import torch

from modelwright import plugs

CLS = plugs.load("family", "deit").cls


def test_it_reads_patches_and_two_tokens_of_its_own() -> None:
    backbone = CLS.build(CLS.config("deit-tiny", num_channels=1, image_size=16)).eval()
    with torch.inference_mode():
        states = backbone(pixel_values=torch.zeros(1, 1, 16, 16)).last_hidden_state
    assert states.shape == (1, 8 * 8 + 2, 128)
