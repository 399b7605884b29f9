"""Horizontal flip: mirrored or left alone."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright import plugs

PLUG = plugs.load("augmenter", "horizontal-flip")
PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


def flipped(probability: float, seeds: int = 400) -> float:
    augmenter, count = PLUG.cls(PLUG.config(probability=probability)), 0
    for seed in range(seeds):
        varied = augmenter.vary(PIXELS, np.random.default_rng(seed))
        mirrored = (varied == PIXELS[:, ::-1]).all()
        assert mirrored or (varied == PIXELS).all()
        count += mirrored
    return count / seeds


def test_left_and_right_change_places_and_nothing_else() -> None:
    assert flipped(1.0, seeds=5) == 1.0


@pytest.mark.parametrize("probability", [0.2, 0.5, 0.8])
def test_the_share_of_mirrored_images_is_the_probability(probability: float) -> None:
    assert flipped(probability) == pytest.approx(probability, abs=0.08)
