"""Rows as signals see them: what was sent, what was answered, and what is known of training."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

_WORD = re.compile(r"[^\W\d_]+")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
"""Scripts that are written without spaces."""
BITS, HASHES = 1 << 19, 4
"""Of the filter of words: 64 KiB; with 20,000 words in it 0.04% of others seem known, with 100,000
8%."""


@dataclass
class Sample:
    """Rows of a window or of the reference.

    Attributes:
        inputs: as callers sent them; None where they are not known.
        answers: predictions as the contract has them, or what was kept of them.
        known: of training.
        vectors: [M, D] of length 1; None without.
        vector_rows: [M] the rows that the vectors are of.
    """

    inputs: Sequence[Any]
    answers: Sequence[Mapping[str, Any]]
    known: Known
    vectors: np.ndarray | None = None
    vector_rows: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.answers)

    @cached_property
    def texts(self) -> list[str | None]:
        """The text of each row; None where it is not known or no text."""
        return [text_of(item) for item in self.inputs]

    @cached_property
    def nearest(self) -> tuple[np.ndarray, np.ndarray]:
        """[N] the nearest centre of training (-1: not known) and [N] the distance to it (1 - cosine;
        NaN: not known)."""
        centre, distance = np.full(len(self), -1), np.full(len(self), np.nan)
        if self.vectors is not None and len(self.vectors) and len(self.known.centres):
            likeness = self.vectors @ self.known.centres.T
            rows = np.asarray(self.vector_rows, dtype=int)
            centre[rows], distance[rows] = likeness.argmax(axis=1), 1.0 - likeness.max(axis=1)
        return centre, distance


def text_of(item: Any) -> str | None:
    """The words of an input: a text, a pair of texts, or a list of words."""
    if isinstance(item, str):
        return item
    if isinstance(item, Mapping):
        if isinstance(item.get("tokens"), list):
            return " ".join(map(str, item["tokens"]))
        parts = [item.get("text"), item.get("text_pair")]
        found = [part for part in parts if isinstance(part, str)]
        return "\n".join(found) if found else None
    return None


def words(text: str) -> list[str]:
    """Lower-cased words; of scripts without spaces, pairs of neighbouring characters."""
    found = []
    for word in _WORD.findall(text.lower()):
        if _WIDE.search(word):
            found += [word[at : at + 2] for at in range(max(1, len(word) - 1))]
        else:
            found.append(word)
    return found


@dataclass
class Known:
    """What training has seen, in fixed memory.

    Attributes:
        filter: [BITS / 8] a Bloom filter of words.
        characters: code points of characters.
        centres: [K, D] of the vectors of training rows, of length 1.
    """

    filter: np.ndarray = field(default_factory=lambda: np.zeros(BITS // 8, dtype=np.uint8))
    characters: set[int] = field(default_factory=set)
    centres: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))

    def learn(self, texts: Iterable[str]) -> Known:
        """Take texts into account."""
        met: set[str] = set()
        for text in texts:
            met.update(words(text))
            self.characters.update(map(ord, text))
        for word in met:
            for bit in _bits(word):
                self.filter[bit >> 3] |= 1 << (bit & 7)
        return self

    def has(self, word: str) -> bool:
        """Whether a word was in training; wrong now and then for one that was not."""
        return all(self.filter[bit >> 3] & (1 << (bit & 7)) for bit in _bits(word))

    def as_dict(self) -> dict[str, Any]:
        return {
            "words": base64.b64encode(zlib.compress(self.filter.tobytes(), 9)).decode(),
            "characters": _ranges(self.characters),
            "centres": {
                "shape": list(self.centres.shape),
                "float16": base64.b64encode(self.centres.astype("<f2").tobytes()).decode(),
            },
        }

    @staticmethod
    def restored(told: Mapping[str, Any]) -> Known:
        """From what `as_dict` gave.

        Raises:
            ValueError, KeyError, TypeError, zlib.error: it is something else.
        """
        bits = np.frombuffer(zlib.decompress(base64.b64decode(told["words"])), dtype=np.uint8)
        if len(bits) != BITS // 8:
            raise ValueError(f"a filter of {len(bits)} bytes")
        characters = {c for start, end in told["characters"] for c in range(start, end + 1)}
        centres = np.frombuffer(base64.b64decode(told["centres"]["float16"]), dtype="<f2")
        shaped = centres.reshape(told["centres"]["shape"]).astype(np.float32)
        return Known(bits.copy(), characters, shaped)


def _bits(word: str) -> list[int]:
    digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=4 * HASHES).digest()
    return [int.from_bytes(digest[at : at + 4], "little") % BITS for at in range(0, 16, 4)]


def _ranges(points: set[int]) -> list[list[int]]:
    """Runs of neighbouring code points."""
    found: list[list[int]] = []
    for point in sorted(points):
        if found and found[-1][1] == point - 1:
            found[-1][1] = point
        else:
            found.append([point, point])
    return found


def answer_of(kept: str | None) -> dict[str, Any]:
    """A recorded prediction; {} where it cannot be read."""
    try:
        found = json.loads(kept or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
