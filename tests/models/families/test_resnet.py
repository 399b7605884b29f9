"""ResNet beyond what every family is held to."""

from __future__ import annotations

import pytest
import torch

from modelwright import plugs

CLS = plugs.load("family", "resnet").cls


@pytest.mark.parametrize("side", [16, 28, 56, 97])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_image_size_and_number_of_colours_is_read(side: int, channels: int) -> None:
    backbone = CLS.build(CLS.config("tiny", num_channels=channels)).eval()
    with torch.inference_mode():
        hidden = backbone(pixel_values=torch.randn(1, channels, side, side)).last_hidden_state
    assert hidden.shape[:2] == (1, 64)


def test_a_row_is_answered_alike_alone_and_in_a_batch() -> None:
    backbone = CLS.build(CLS.config("tiny", num_channels=3)).eval()
    images = torch.randn(4, 3, 32, 32)
    with torch.inference_mode():
        together = backbone(pixel_values=images).last_hidden_state
        alone = backbone(pixel_values=images[2:3]).last_hidden_state
    assert torch.allclose(together[2:3], alone, atol=1e-5)
