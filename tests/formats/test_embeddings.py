"""Embedding tables of OpenVINO's graphs: looked up first, in 8 or in 4 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelwright.formats._embeddings import GROUP, MIDDLE, rounded, slim_embeddings
from modelwright.runtime.libraries import openvino

ROWS, WIDTH = 1_200, 64
IDS = np.array([[0, 7, 1_199], [7, 7, 600]])


def graph(rows: int = ROWS) -> tuple[Any, np.ndarray]:
    """A look-up in an 8-bit table as NNCF leaves it, and the table in floats."""
    ops, draw = openvino().opset13, np.random.default_rng(0)
    table = draw.integers(-127, 128, (rows, WIDTH), dtype=np.int8)
    scale = draw.uniform(1e-4, 1e-2, (rows, 1)).astype(np.float32)
    ids = ops.parameter([-1, -1], np.int64, name="ids")
    scaled = ops.multiply(ops.convert(ops.constant(table), "f32"), ops.constant(scale))
    found = ops.gather(scaled, ids, ops.constant(np.int64(0)))
    return openvino().Model([found], [ids]), table * scale


def looked_up(model: Any, ids: np.ndarray) -> np.ndarray:
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    return next(iter(openvino().Core().compile_model(model, "CPU", hint)({"ids": ids}).values()))


def constant_bytes(model: Any) -> int:
    kept = [node for node in model.get_ordered_ops() if node.get_type_name() == "Constant"]
    return sum(node.data.nbytes for node in kept)


def test_8_bits_stay_the_same_numbers() -> None:
    model, table = graph()
    assert np.array_equal(looked_up(slim_embeddings(model), IDS), table[IDS])


def test_4_bits_are_the_rounded_table_in_half_of_the_bytes() -> None:
    model, table = graph()
    levels, scales = rounded(table)
    grouped = (levels.reshape(ROWS, -1, GROUP) - MIDDLE) * scales[..., None].astype(np.float32)
    narrow = slim_embeddings(model, 4)
    assert np.array_equal(looked_up(narrow, IDS), grouped.reshape(ROWS, WIDTH)[IDS])
    assert constant_bytes(narrow) < 0.6 * constant_bytes(slim_embeddings(graph()[0]))


def test_small_tables_stay_in_8_bits() -> None:
    model, table = graph(rows=512)
    ids = IDS % 512
    assert np.array_equal(looked_up(slim_embeddings(model, 4), ids), table[ids])


@pytest.mark.parametrize("size", [0.0, 1e-9, 1.0, 1e4])
def test_rounding_is_off_by_half_a_step_at_most(size: float) -> None:
    table = size * np.random.default_rng(1).standard_normal((50, WIDTH)).astype(np.float32)
    levels, scales = rounded(table)
    assert levels.max() <= 15
    found = (levels.reshape(50, -1, GROUP) - MIDDLE) * scales[..., None].astype(np.float32)
    grouped = table.reshape(50, -1, GROUP)
    widest = np.abs(grouped).max(axis=-1, keepdims=True) / MIDDLE
    step = np.sqrt(GROUP) * np.maximum(widest, 2e-7)  # a clip may move one weight for the others
    assert (np.abs(found - grouped) <= step).all()
    error = np.square(found - grouped).mean()
    assert error <= (np.square(grouped).mean() / 50 if size > 1e-6 else 1e-12)
