"""Which batches an engine likes; imports nothing, so that engines can be listed lightly."""

from __future__ import annotations

from dataclasses import dataclass

FEW_WIDTHS = 16
"""The `multiple` of engines that like few shapes."""


@dataclass(frozen=True)
class BatchLimits:
    """Which batches an engine likes.

    Attributes:
        tokens: most tokens of a batch, padding counted; what fits the cache is fastest.
        rows: most rows.
        multiple: above 1, rows are padded to one of a few widths (`width_of`) and come in a few
            numbers, for an engine that makes kernels for every shape that it meets.
        workers: batches that run side by side.
        alone: rows of this width or less make no batch; each is run by itself.
    """

    tokens: int = 8192
    rows: int = 64
    multiple: int = 1
    workers: int = 1
    alone: int = 0
