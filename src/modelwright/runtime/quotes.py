"""When a quote in delimited text is a stray one: the rule that training and prediction share.

A stray quote costs its own line, never those that it would swallow.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import Any

MOST_LINES = 1000
"""Physical lines that one quoted row may span."""

MOST_CHARACTERS = 1 << 20
"""Characters that a row of several lines may have."""

UNBALANCED = "a quote that does not close"

Options = Mapping[str, Any]
"""Keyword arguments of csv.reader, without `strict`."""


def is_too_large(lines: Sequence[str]) -> bool:
    """Whether these lines are more than one row can be."""
    return len(lines) > MOST_LINES or (len(lines) > 1 and sum(map(len, lines)) > MOST_CHARACTERS)


def is_swallowed(
    lines: Sequence[str], cells: Sequence[str], width: int | None, options: Options
) -> bool:
    """Whether a row of several lines rather is a stray quote that swallowed good rows.

    Args:
        lines: of the row, two or more.
        cells: that it was read as.
        width: cells that a row should have, where known.
        options: how the file is delimited.
    """
    if width is None or len(cells) == width:
        return False
    try:
        second = next(csv.reader([lines[1]], **options, strict=True), [])
    except csv.Error:
        return False
    return len(second) == width


def leniently(line: str, options: Options) -> list[str]:
    """The cells of one line whose quotes break the rules but not the row: `"so" he said,label`.

    Raises:
        csv.Error: it can't be read so either.
    """
    return next(csv.reader([line], **options, strict=False), [])
