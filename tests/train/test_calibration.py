"""What a calibration takes into account of the shapes to come."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers")

from modelwright.train import calibration
from modelwright.train.batches import LengthBatches


def prepared(lengths: np.ndarray) -> Any:
    settings = SimpleNamespace(seed=0, batch_rows=32, batch_tokens=4096, epochs=2.0)
    return SimpleNamespace(settings=settings, table=SimpleNamespace(lengths=lengths))


def trial(shape_mb: float, shapes: int = 9) -> Any:
    return SimpleNamespace(shape_mb=shape_mb, shapes=shapes)


def test_memory_grows_with_the_shapes_that_more_rows_bring() -> None:
    lengths = np.random.default_rng(0).integers(5, 60, 2_000)
    few, many = (calibration._kernels_mb(prepared(lengths), trial(2.0), n) for n in (400, 9_000))
    assert 0 <= few < many <= 2.0 * (calibration.MOST_SHAPES - 9)


def test_images_of_one_size_add_nothing() -> None:
    assert calibration._kernels_mb(prepared(np.ones(500, dtype=int)), trial(2.0), 10_000) == 0


def test_the_tried_shapes_differ_from_the_largest_and_from_one_another() -> None:
    lengths = np.random.default_rng(1).integers(5, 60, 2_000)
    epoch = list(LengthBatches(lengths, 32, 4096, 1, 0))
    shapes = calibration._shapes(epoch, lengths)
    order = np.argsort([rows * longest for rows, longest in shapes], kind="stable")
    found = [shapes[place] for place in calibration._unlike(epoch, lengths, order)]
    assert len(set(found)) == len(found) == calibration.NEW_SHAPES
    assert shapes[int(order[-1])] not in found


def test_a_single_shape_leaves_nothing_else_to_try() -> None:
    epoch, lengths = [[0, 1], [2, 3]], np.ones(4, dtype=int)
    assert calibration._unlike(epoch, lengths, np.array([0, 1])) == []
