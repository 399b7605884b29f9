"""Random crop: shifts by a share of each side, edges repeated."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright import plugs

PLUG = plugs.load("augmenter", "random-crop")


def shifts(height: int, width: int, share: float) -> tuple[set[int], set[int]]:
    """How far down and across a marked pixel in the middle was seen to move."""
    pixels = np.zeros((height, width, 1), np.uint8)
    pixels[height // 2, width // 2] = 255
    augmenter, down, across = PLUG.cls(PLUG.config(share=share)), set(), set()
    for seed in range(300):
        y, x, _ = np.argwhere(augmenter.vary(pixels, np.random.default_rng(seed)))[0]
        down.add(int(y) - height // 2)
        across.add(int(x) - width // 2)
    return down, across


def test_shifts_reach_the_share_of_the_side_in_every_direction() -> None:
    assert shifts(20, 20, 0.1) == ({-2, -1, 0, 1, 2}, {-2, -1, 0, 1, 2})


def test_a_wide_picture_is_not_shifted_out_of_sight() -> None:
    down, across = shifts(10, 100, 0.2)
    assert down == {-2, -1, 0, 1, 2}
    assert min(across) == -20
    assert max(across) == 20


def test_what_moves_in_repeats_the_edge() -> None:
    pixels = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    augmenter = PLUG.cls(PLUG.config(share=0.5))
    for seed in range(50):
        varied = augmenter.vary(pixels, np.random.default_rng(seed))
        assert set(varied.ravel()) <= set(range(16))


@pytest.mark.parametrize("share", [0.0, -0.1, 0.6])
def test_a_share_that_makes_no_sense_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        PLUG.config(share=share)
