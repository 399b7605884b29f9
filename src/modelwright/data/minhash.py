"""MinHash sketches of texts, many at once.

A text is the set of its shingles: runs of 5 characters, or of 3 where it is mostly Chinese,
Japanese or Korean, in lower case; a shorter text is one shingle. Two texts are as similar as their
sets: |A and B| / |A or B| (Jaccard).

One permutation hashing (Li, Owen, Zhang 2012): one hash a shingle decides its bin and its value;
the least value of each bin is kept. Empty bins borrow from a bin chosen by hash (Shrivastava 2017),
which keeps short texts as exact as 84 separate permutations would, for an eighth of the time. Bands
of bins become keys: two texts with similarity s share one of b keys of r bins with probability
1 - (1 - s^r)^b.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from modelwright.data.chunks import U64, mix

WIDTH, WIDTH_CJK = 5, 3
_CJK_SHARE = 0.3
_MOST_BINS = 96
_MISSED = 0.002
_PIECE = 1 << 15
"""Characters hashed at once: the arrays stay in the second-level cache."""
_BORROWS = 48
_EMPTY = np.uint32(0xFFFFFFFF)
_BASE = np.uint32(0x01000193)
_SPREAD = np.uint32(0x9E3779B1)
_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Bands:
    """How bins make keys: `count` bands of `width` bins."""

    count: int
    width: int

    @property
    def bins(self) -> int:
        return self.count * self.width

    def chance(self, similarity: float) -> float:
        """Probability that two texts of a similarity share a key."""
        return 1 - (1 - similarity**self.width) ** self.count


def bands_for(threshold: float) -> Bands:
    """The most selective bands within 96 bins that miss 1 in 500 pairs at the threshold."""
    for width in range(8, 0, -1):
        hit = threshold**width
        count = 1 if hit >= 1 else math.ceil(math.log(_MISSED) / math.log(1 - hit))
        count = max(count, 4)
        if count * width <= _MOST_BINS:
            return Bands(count, width)
    return Bands(_MOST_BINS, 1)


@dataclass
class Sketches:
    """What is kept of each text.

    Attributes:
        keys: uint32 [N, bands].
        bytes: uint8 [N, bins], eight bits of each bin's least value.
        sizes: shingles, repeated ones counted [N].
        widths: characters of a shingle [N].
    """

    keys: np.ndarray
    bytes: np.ndarray
    sizes: np.ndarray
    widths: np.ndarray


def fold(text: str) -> str:
    """The form that is compared."""
    return text.lower()


def shingles(text: str, width: int) -> set[str]:
    """The shingles of a folded text."""
    if len(text) <= width:
        return {text}
    return {text[at : at + width] for at in range(len(text) - width + 1)}


def sketch(texts: list[str], bands: Bands) -> Sketches:
    """Sketches of texts (folded here)."""
    folded = [fold(text) for text in texts]
    widths = _widths(folded)
    least = np.full(len(folded) * bands.bins, _EMPTY, np.uint32)
    for width in (WIDTH, WIDTH_CJK):
        chosen = np.flatnonzero(widths == width).tolist()
        for numbers, pieces in _pieces(folded, chosen, width):
            _hash_into(least, numbers, pieces, width, bands.bins)
    values = _densify(least.reshape(len(folded), bands.bins))
    lengths = np.array([len(text) for text in folded], np.int64)
    sizes = np.maximum(lengths - widths + 1, 1).astype(np.int32)
    return Sketches(_keys(values, bands), _bytes(values), sizes, widths)


def _widths(folded: list[str]) -> np.ndarray:
    """3 for texts with a good share of CJK characters, else 5."""
    widths = np.full(len(folded), WIDTH, np.int8)
    for at, text in enumerate(folded):
        if not text.isascii():
            points = np.frombuffer(text[:2000].encode("utf-32-le", "replace"), "<u4")
            cjk = ((points >= 0x3040) & (points < 0xA000)) | (
                (points >= 0xAC00) & (points < 0xD7B0)
            )
            if cjk.sum() > _CJK_SHARE * len(points):
                widths[at] = WIDTH_CJK
    return widths


def _pieces(
    folded: list[str], chosen: list[int], width: int
) -> Iterator[tuple[list[int], list[str]]]:
    """Batches of (row numbers, texts) of some `_PIECE` characters; long texts are cut."""
    numbers: list[int] = []
    pieces: list[str] = []
    total = 0
    for number in chosen:
        text = folded[number]
        for start in range(0, max(1, len(text) - width + 1), _PIECE):
            piece = text if len(text) <= _PIECE else text[start : start + _PIECE + width - 1]
            numbers.append(number)
            pieces.append(piece)
            total += len(piece)
            if total >= _PIECE:
                yield numbers, pieces
                numbers, pieces, total = [], [], 0
    if pieces:
        yield numbers, pieces


def _hash_into(
    least: np.ndarray, numbers: list[int], pieces: list[str], width: int, bins: int
) -> None:
    """Lower the least values of rows by the shingles of their pieces.

    In 32 bits: two shingles of one text then collide once in 10^5 texts, which moves an estimate
    by a hundredth; exact comparison follows anyway.
    """
    padding = "\0" * width
    joined = (padding.join(pieces) + padding).encode("utf-32-le", "replace")
    points = np.frombuffer(joined, "<u4")
    lengths = np.array([len(piece) for piece in pieces], np.int64)
    counts = np.maximum(lengths - width + 1, 1)
    starts = np.cumsum(lengths + width) - (lengths + width)
    rolled = points[: len(points) - width + 1] + np.uint32(width)
    for step in range(1, width):
        rolled *= _BASE
        rolled += points[step : len(points) - width + 1 + step]
    ends = np.cumsum(counts)
    at = np.repeat(starts - (ends - counts), counts)
    at += np.arange(ends[-1])
    hashed = _stir(rolled.take(at), np.uint32(0x85EBCA6B))
    place = (((hashed >> np.uint32(8)) * np.uint32(bins)) >> np.uint32(24)).astype(np.int64)
    place += np.repeat(np.array(numbers, np.int64) * bins, counts)
    np.minimum.at(least, place, _stir(hashed, np.uint32(0xC2B2AE35)))


def _stir(values: np.ndarray, factor: np.uint32) -> np.ndarray:
    """One round of MurmurHash3's finaliser, on a copy."""
    stirred = values ^ (values >> np.uint32(16))
    stirred *= factor
    stirred ^= stirred >> np.uint32(13)
    return stirred


def _densify(least: np.ndarray) -> np.ndarray:
    """Fill empty bins [N, bins], in place, from bins chosen by hash, the same for every text."""
    bins = least.shape[1]
    donors = _donors(bins)
    for start in range(0, len(least), _BLOCK_ROWS):
        block = least[start : start + _BLOCK_ROWS]
        values, flat = block.copy().reshape(-1), block.reshape(-1)
        empty = np.flatnonzero(values == _EMPTY)
        own = empty % bins
        for attempt in range(_BORROWS):
            if not len(empty):
                break
            lent = values.take(empty - own + donors[attempt].take(own))
            found = lent != _EMPTY
            flat[empty[found]] = lent[found] + own[found].astype(np.uint32) * _SPREAD
            missing = ~found
            empty, own = empty[missing], own[missing]
        if len(empty):
            overall = values.reshape(-1, bins).min(axis=1)[empty // bins]
            flat[empty] = overall + own.astype(np.uint32) * _SPREAD
    return least


def _donors(bins: int) -> np.ndarray:
    """Which bin each empty bin asks at each attempt [attempts, bins]."""
    grid = np.arange(_BORROWS * bins, dtype=U64).reshape(_BORROWS, bins)
    return (mix(grid + U64(1)) % U64(bins)).astype(np.int64)


def _keys(values: np.ndarray, bands: Bands) -> np.ndarray:
    keys = np.zeros((len(values), bands.count), U64)
    grouped = values.reshape(len(values), bands.count, bands.width)
    for position in range(bands.width):
        keys = mix(keys + grouped[:, :, position] + U64(position + 1))
    return (keys >> U64(32)).astype(np.uint32)


def _bytes(values: np.ndarray) -> np.ndarray:
    return ((values * _SPREAD) >> np.uint32(24)).astype(np.uint8)
