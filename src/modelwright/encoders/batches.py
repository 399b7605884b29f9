"""Features to padded arrays, in batches of like length; numpy only."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from modelwright.encoders.image import ImageEncoder
from modelwright.encoders.text import TextEncoder

Features = dict[str, Any]


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


def collate(
    features: Sequence[Features], encoder: TextEncoder | ImageEncoder
) -> dict[str, np.ndarray]:
    """Pad a batch to its longest row and name the arrays as the model does."""
    if isinstance(encoder, ImageEncoder):
        return {"pixel_values": encoder.normalise(np.stack([f["pixels"] for f in features]))}
    width = max(length_of(feature) for feature in features)
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
