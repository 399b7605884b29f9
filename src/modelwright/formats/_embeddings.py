"""Embedding tables of OpenVINO's graphs in 8 and in 4 bits.

OpenVINO scales a whole table when it opens a model, which takes four times its size in memory. Here
the rows are looked up first and what was found is scaled. In 4 bits two weights share a byte, and
32 weights a scale: the one of a few that leaves the least squared error.

    ids ─▶ rows of bytes ─▶ low and high halves ─▶ (number - 7.5) * scale of 32
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from modelwright.runtime.libraries import openvino

GROUP = 32
"""Weights that share a scale in 4 bits."""
LEVELS = 16
MIDDLE = (LEVELS - 1) / 2
CLIPS = (1.0, 0.9, 0.8, 0.7)
"""Shares of a group's largest weight that its outermost level may stand for."""
LEAST_ROWS = 1_000
"""Smaller tables (positions, token types) stay in 8 bits."""


@dataclass(frozen=True)
class _Lookup:
    """Where a graph looks rows up in an 8-bit table.

    Attributes:
        gather: the node.
        table: a Constant [V, D] of 8-bit integers.
        scale: a Constant [V, 1].
    """

    gather: Any
    table: Any
    scale: Any


def slim_embeddings(graph: Any, bits: Literal[8, 4] = 8) -> Any:
    """Look rows up before they are scaled, in place.

    In 8 bits the numbers stay the same. In 4 bits the tables that are large are rounded.

    Args:
        graph: its embedding tables are in 8 bits, one scale a row, as NNCF leaves them.
        bits: of the large tables.

    Returns:
        The same graph.
    """
    for found in _lookups(graph):
        rows, width = found.table.get_output_shape(0)
        narrow = bits == 4 and rows >= LEAST_ROWS and width % GROUP == 0
        slim = _in_4_bits(found) if narrow else _in_8_bits(found)
        slim.set_friendly_name(found.gather.get_friendly_name())
        for reader in found.gather.output(0).get_target_inputs():
            reader.replace_source_output(slim.output(0))
    graph.validate_nodes_and_infer_types()
    return graph


def _lookups(graph: Any) -> list[_Lookup]:
    """Gathers over a scaled 8-bit table."""
    found = []
    for gather in [node for node in graph.get_ops() if node.get_type_name() == "Gather"]:
        scaled = gather.input_value(0).get_node()
        if scaled.get_type_name() != "Multiply":
            continue
        convert, scale = (scaled.input_value(i).get_node() for i in (0, 1))
        table = convert.input_value(0).get_node() if convert.get_input_size() else convert
        if convert.get_type_name() != "Convert" or table.get_type_name() != "Constant":
            continue
        rows = table.get_output_shape(0)[0]
        if scale.get_type_name() == "Constant" and list(scale.get_output_shape(0)) == [rows, 1]:
            found.append(_Lookup(gather, table, scale))
    return found


def _in_8_bits(found: _Lookup) -> Any:
    """The looked-up rows times their scales."""
    ops = openvino().opset13
    ids, axis = found.gather.input_value(1), found.gather.input_value(2)
    rows = ops.convert(ops.gather(found.table, ids, axis), "f32")
    return ops.multiply(rows, ops.gather(found.scale, ids, axis))


def _in_4_bits(found: _Lookup) -> Any:
    """The looked-up bytes taken apart, times the scales of their groups."""
    ops = openvino().opset13
    ids, axis = found.gather.input_value(1), found.gather.input_value(2)
    numbers, scales = rounded(found.table.data.astype(np.float32) * found.scale.data)
    half = numbers.shape[1] // 2
    packed = numbers[:, :half] | (numbers[:, half:] << 4)
    groups = scales.shape[1]

    def number(value: float) -> Any:
        return ops.constant(np.float32(value))

    both = ops.convert(ops.gather(ops.constant(packed), ids, axis), "f32")
    high = ops.floor(ops.multiply(both, number(1 / LEVELS)))
    low = ops.subtract(both, ops.multiply(high, number(LEVELS)))
    joined = ops.subtract(ops.concat([low, high], -1), number(MIDDLE))
    shape = ops.constant(np.array([0, 0, groups, GROUP], np.int64))
    of_groups = ops.convert(ops.gather(ops.constant(scales), ids, axis), "f32")
    wide = ops.unsqueeze(of_groups, ops.constant(np.int64(-1)))
    grouped = ops.multiply(ops.reshape(joined, shape, special_zero=True), wide)
    flat = ops.constant(np.array([0, 0, groups * GROUP], np.int64))
    return ops.reshape(grouped, flat, special_zero=True)


def rounded(table_VD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Levels 0 to 15 [V, D] and scales [V, D / 32] in 16 bits, with the least squared error of
    `(level - 7.5) * scale` among a few scales.
    """
    rows, width = table_VD.shape
    grouped = table_VD.reshape(rows, width // GROUP, GROUP).astype(np.float32)
    largest = np.abs(grouped).max(axis=-1, keepdims=True)
    best = np.full(largest.shape, np.inf, np.float32)
    levels, scales = np.zeros(grouped.shape, np.uint8), np.zeros(largest.shape, np.float16)
    for clip in CLIPS:
        scale = np.maximum(largest * (clip / MIDDLE), 1e-7).astype(np.float16)
        exact = scale.astype(np.float32)
        level = np.clip(np.round(grouped / exact + MIDDLE), 0, LEVELS - 1)
        error = np.square((level - MIDDLE) * exact - grouped).sum(axis=-1, keepdims=True)
        better = error < best
        best = np.where(better, error, best)
        levels = np.where(better, level.astype(np.uint8), levels)
        scales = np.where(better, scale, scales)
    return levels.reshape(rows, width), scales[..., 0]
