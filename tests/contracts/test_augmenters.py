"""What holds for every augmenter: same shape and type, same draw from the same seed, input kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright import plugs

NAMES = plugs.names("augmenter")


def made(name: str, **options: Any) -> Any:
    plug = plugs.load("augmenter", name)
    return plug.cls(plug.config(**options))


def image(height: int, width: int, channels: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("name", NAMES)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 50),
)
def test_shape_type_and_the_original_stay(
    name: str, height: int, width: int, channels: int, seed: int
) -> None:
    pixels = image(height, width, channels)
    before = pixels.copy()
    pixels.flags.writeable = False  # training reads a memory map
    varied = made(name).vary(pixels, np.random.default_rng(seed))
    assert varied.shape == pixels.shape
    assert varied.dtype == np.uint8
    assert (pixels == before).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_alone_decides(name: str) -> None:
    augmenter, pixels = made(name), image(16, 16, 3)
    draws = [augmenter.vary(pixels, np.random.default_rng(seed)) for seed in range(20)]
    again = [made(name).vary(pixels, np.random.default_rng(seed)) for seed in range(20)]
    assert all((a == b).all() for a, b in zip(draws, again, strict=True))
    assert len({draw.tobytes() for draw in draws}) > 1


@pytest.mark.parametrize("name", NAMES)
def test_it_says_which_rows_it_is_for(name: str) -> None:
    assert plugs.load("augmenter", name).cls.modality in {"text", "image"}


@pytest.mark.parametrize("name", NAMES)
def test_unknown_options_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        made(name, nonsense=1)


@pytest.mark.parametrize("name", NAMES)
def test_varied_images_can_be_stacked_into_a_batch(name: str) -> None:
    augmenter = made(name)
    varied = [augmenter.vary(image(8, 8, 3), np.random.default_rng(seed)) for seed in range(8)]
    assert np.stack(varied).flags.c_contiguous
