"""Features to padded arrays, in batches of like length; numpy only."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from modelwright.encoders.image import ImageEncoder
from modelwright.encoders.limits import BatchLimits
from modelwright.encoders.text import TextEncoder

Features = dict[str, Any]

LEAST_TOKENS = 64
"""Batches are not made smaller than this only to keep more workers busy."""


def length_of(feature: Features) -> int:
    """Tokens of a feature; 1 for images."""
    return len(feature["input_ids"]) if "input_ids" in feature else 1


def batches_by_length(
    features: Sequence[Features], tokens: int, rows: int = 64
) -> Iterator[list[int]]:
    """Indices in batches of like length, at most `tokens` with padding and `rows` rows."""
    lengths = [length_of(feature) for feature in features]
    batch: list[int] = []
    for index in sorted(range(len(features)), key=lengths.__getitem__, reverse=True):
        if batch and (len(batch) >= rows or lengths[batch[0]] * (len(batch) + 1) > tokens):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def planned_batches(features: Sequence[Features], limits: BatchLimits) -> list[list[int]]:
    """Indices in batches of 1, 2, 3, 4, 6, 8, ... rows of one width each, widest first.

    A row's width depends on its length alone, so that it is computed in the same way, to the last
    bit, whatever else is asked.
    """
    if len(features) == 1:
        return [[0]]
    groups: dict[int, list[int]] = {}
    for index, feature in enumerate(features):
        groups.setdefault(width_of(length_of(feature), limits.multiple), []).append(index)
    most = limits.tokens
    if limits.workers > 1:
        total = sum(width * len(group) for width, group in groups.items())
        parts = limits.workers * (1 if len(groups) == 1 else 2)  # unlike ones need room to even out
        most = min(most, max(LEAST_TOKENS, -(-total // parts)))
    batches: list[list[int]] = []
    for width in sorted(groups, reverse=True):
        group, first = groups[width], 0
        fitting = 1 if width <= limits.alone else max(1, min(limits.rows, most // width))
        while first < len(group):
            size = round_number(min(fitting, len(group) - first))
            batches.append(group[first : first + size])
            first += size
    return batches


def width_of(length: int, multiple: int) -> int:
    """What a row of a length is padded to: half a multiple, or multiples; an eighth more when long.

    With OpenVINO's attention 12 tokens took as long as 16, and 28 longer than 32 (docs/lab.md).
    """
    if multiple == 1:
        return length
    if length <= multiple // 2:
        return multiple // 2
    step = max(multiple, 1 << max(0, (length - 1).bit_length() - 4))
    return -(-length // step) * step


def round_number(most: int) -> int:
    """The largest of 1, 2, 3, 4, 6, 8, 12, ... that is no larger."""
    power = 1 << (most.bit_length() - 1)
    return power * 3 // 2 if power > 1 and most >= power * 3 // 2 else power


def collate(
    features: Sequence[Features], encoder: TextEncoder | ImageEncoder, multiple: int = 1
) -> dict[str, np.ndarray]:
    """Pad a batch and name the arrays as the model does.

    Args:
        features: of one batch.
        encoder: that made them.
        multiple: see `width_of`, which gives the width from the longest row's length.
    """
    if isinstance(encoder, ImageEncoder):
        return {"pixel_values": encoder.normalise(np.stack([f["pixels"] for f in features]))}
    longest = max(length_of(feature) for feature in features)
    width = max(longest, min(width_of(longest, multiple), encoder.settings.max_tokens))
    shape = (len(features), width)
    arrays = {name: np.zeros(shape, dtype=np.int64) for name in encoder.settings.inputs}
    if encoder.settings.pad_id:
        arrays["input_ids"][:] = encoder.settings.pad_id
    for row, feature in enumerate(features):
        length = length_of(feature)
        arrays["input_ids"][row, :length] = feature["input_ids"]
        if "attention_mask" in arrays:
            arrays["attention_mask"][row, :length] = 1
        if "token_type_ids" in arrays:
            arrays["token_type_ids"][row, :length] = feature["token_type_ids"]
    return arrays


def unpad(logits: np.ndarray, feature: Features) -> np.ndarray:
    """Cut the padding off a token head's logits."""
    return logits[: length_of(feature)] if logits.ndim == 2 else logits


def of_length(feature: Features, length: int) -> Features:
    """The row with exactly `length` tokens: its inner tokens repeated or cut, ends kept."""
    found = dict(feature)
    for key in ("input_ids", "token_type_ids"):
        if key in found:
            values = list(found[key])
            inner = values[1:-1] or values
            middle = itertools.islice(itertools.cycle(inner), max(0, length - 2))
            found[key] = [values[0], *middle, values[-1]][:length]
    if found.get("positions") is not None:
        found["positions"] = [min(place, length - 1) for place in found["positions"]]
    return found
