"""The fast bootstrap engine: sums of per-row counts over many resamples of the rows.

Drawing N of N rows with replacement and adding up their counts is all that a resample is, where
a measure is computed from sums. Rows whose counts are equal are interchangeable, so they are
grouped first and only the group sizes are drawn, from their exact multinomial distribution;
sums then are one matrix product. A million right-or-wrong rows are two groups. Work goes on in
chunks of bounded memory, whatever the number of resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from modelwright.metrics.inputs import Floats, Integers

Statistic: TypeAlias = Callable[[Floats], Floats]

# Entries of the largest temporary array: 32 MB as float64.
_CHUNK_ENTRIES = 4_000_000
# Above this share of distinct rows, drawing row by row is faster than drawing group sizes.
_FEW_GROUPS = 0.25


def resampled_statistic(
    counts_NK: NDArray[np.number], statistic: Statistic, resamples: int, seed: int
) -> tuple[float, Floats]:
    """The statistic of all rows, and of each of R resamples (R,). The same for the same seed."""
    groups_UK, sizes_U = _group(counts_NK)
    value = float(statistic((sizes_U @ groups_UK)[None, :])[0])
    chunks = _drawn_sizes(sizes_U, max(groups_UK.shape), resamples, seed)
    return value, np.concatenate([statistic(sizes_RU @ groups_UK) for sizes_RU in chunks])


def _group(counts_NK: NDArray[np.number]) -> tuple[Floats, Integers]:
    """Distinct rows (U, K) and how often each occurs (U,)."""
    rows = np.ascontiguousarray(counts_NK)
    # Compared as bytes: far faster than np.unique(axis=0), and enough to tell rows apart.
    as_bytes = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first_U, sizes_U = np.unique(as_bytes, return_index=True, return_counts=True)
    return rows[first_U].astype(np.float64), sizes_U.astype(np.int64)


def _drawn_sizes(sizes_U: Integers, width: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Chunks (R, U) of how often each group is drawn in each resample."""
    rng = np.random.default_rng(seed)
    rows, groups = int(sizes_U.sum()), len(sizes_U)
    few = groups <= _FEW_GROUPS * rows
    chunk = max(1, _CHUNK_ENTRIES // max(width, 1 if few else rows))
    for start in range(0, resamples, chunk):
        count = min(chunk, resamples - start)
        if few:
            drawn = rng.multinomial(rows, sizes_U / rows, size=count)
        else:
            drawn = _tally(rng, sizes_U, count)
        yield drawn.astype(np.float64)


def _tally(rng: np.random.Generator, sizes_U: Integers, resamples: int) -> Integers:
    """Draw every row of every resample and count the groups."""
    rows, groups = int(sizes_U.sum()), len(sizes_U)
    picks_RN = rng.integers(0, rows, size=(resamples, rows))
    if groups < rows:
        picks_RN = np.repeat(np.arange(groups), sizes_U)[picks_RN]
    picks_RN += (np.arange(resamples) * groups)[:, None]
    tally = np.bincount(picks_RN.ravel(), minlength=resamples * groups)
    return tally.astype(np.int64).reshape(resamples, groups)
