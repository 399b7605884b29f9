"""What signals look at in pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from modelwright.encoders.image import from_base64, open_image, plain
from modelwright.monitor.sample import Sample

SIDE = 64
"""Pixels to which a picture is reduced before its brightness is taken."""


def pictures(sample: Sample) -> list[tuple[float, float]]:
    """Brightness (0 to 1) and pixels of each row; NaN where there is no picture."""
    return [_looked_at(item) for item in sample.inputs]


def _looked_at(item: Any) -> tuple[float, float]:
    data = item.get("image") if isinstance(item, Mapping) else item
    if isinstance(data, str):
        try:
            data = from_base64(data)
        except ValueError:
            return math.nan, math.nan
    if not isinstance(data, bytes):
        return math.nan, math.nan
    try:
        picture = open_image(data)
    except (ValueError, OSError):
        return math.nan, math.nan
    small = np.asarray(plain(picture, 1).resize((SIDE, SIDE)))
    return float(small.mean()) / 255, float(picture.width * picture.height)
