"""Share of an input's characters that no training row holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.monitor.sample import Sample
from modelwright.monitor.signals import Needs, Signal, shares

if TYPE_CHECKING:
    import numpy as np

VERSION = 1


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class UnseenCharacters(Signal):
    """See the module."""

    needs: ClassVar[Needs] = "input"
    modality: ClassVar[str] = "text"
    title: ClassVar[tuple[str, str]] = ("Characters unseen in training", "训练中未见的字符")
    edges: ClassVar[tuple[float, ...]] = (1e-9, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9)

    def values(self, sample: Sample) -> np.ndarray:
        """[N] shares."""
        known, texts = sample.known.characters, [text or "" for text in sample.texts]
        unseen = [sum(ord(character) not in known for character in text) for text in texts]
        return shares(unseen, list(map(len, texts)))
