"""One file per way of varying training examples as they are batched; the stored rows don't change.

An augmenter is a function of an example and of a random generator that depends only on seed,
epoch and row, so a resumed run sees the same variations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import numpy as np


class Augmenter(ABC):
    """The interface of an augmenter plug.

    Args:
        config: the plug's `Config`.
    """

    modality: ClassVar[Literal["text", "image"]]

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def vary(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A varied copy of an image, uint8 [height, width, channels]; the input stays as it is."""


INTERFACE = Augmenter
