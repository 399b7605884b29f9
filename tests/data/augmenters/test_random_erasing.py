"""Random erasing: one rectangle of the mean colour, no larger than asked."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright import plugs

PLUG = plugs.load("augmenter", "random-erasing")
PIXELS = np.random.default_rng(0).integers(0, 100, (40, 40, 3), dtype=np.uint8)
PIXELS[0, 0] = 255


def covered(**options: float) -> list[np.ndarray]:
    """Where pixels changed, for many seeds."""
    augmenter = PLUG.cls(PLUG.config(**options))
    found = []
    for seed in range(200):
        varied = augmenter.vary(PIXELS, np.random.default_rng(seed))
        found.append((varied != PIXELS).any(axis=2))
    return found


def test_what_is_covered_is_one_rectangle_of_the_mean_colour() -> None:
    augmenter = PLUG.cls(PLUG.config(probability=1.0))
    for seed in range(50):
        varied = augmenter.vary(PIXELS, np.random.default_rng(seed))
        changed = (varied != PIXELS).any(axis=2)
        rows, columns = np.where(changed.any(axis=1))[0], np.where(changed.any(axis=0))[0]
        box = varied[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert (box == PIXELS.mean(axis=(0, 1)).astype(np.uint8)).all()


@pytest.mark.parametrize("area", [0.005, 0.1, 0.5])
def test_no_more_is_covered_than_asked(area: float) -> None:
    shares = [float(changed.mean()) for changed in covered(probability=1.0, area=area)]
    assert max(shares) <= area * 1.3 + 0.002
    assert max(shares) > area * 0.5


def test_the_share_of_covered_images_is_the_probability() -> None:
    share = np.mean([changed.any() for changed in covered(probability=0.3)])
    assert share == pytest.approx(0.3, abs=0.1)
