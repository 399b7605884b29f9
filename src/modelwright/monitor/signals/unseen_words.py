"""Share of an input's words that no training row holds.

Of scripts without spaces, of its pairs of neighbouring characters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.monitor.sample import Sample, words
from modelwright.monitor.signals import Needs, Signal, shares

if TYPE_CHECKING:
    import numpy as np

VERSION = 1


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class UnseenWords(Signal):
    """See the module."""

    needs: ClassVar[Needs] = "input"
    modality: ClassVar[str] = "text"
    title: ClassVar[tuple[str, str]] = ("Words unseen in training", "训练中未见的词")
    edges: ClassVar[tuple[float, ...]] = (
        1e-9,
        0.05,
        0.1,
        0.15,
        0.2,
        0.25,
        0.3,
        0.4,
        0.5,
        0.75,
        1.0,
    )

    def values(self, sample: Sample) -> np.ndarray:
        """[N] shares."""
        rows = [words(text) if text is not None else [] for text in sample.texts]
        known: dict[str, bool] = {word: sample.known.has(word) for row in rows for word in set(row)}
        return shares([sum(not known[word] for word in row) for row in rows], list(map(len, rows)))
