"""Random crop: shifts an image by a few pixels, with its edge repeated.

Makes a model indifferent to where exactly a thing stands. The default for images.

    data: {augment: [{random-crop: {share: 0.125}}]}
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.data.augmenters import Augmenter

VERSION = 2


class Config(BaseModel):
    """Options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    share: float = Field(
        0.1, gt=0, le=0.5, description="Largest shift as a share of height and of width."
    )


@final
class RandomCrop(Augmenter):
    """See the module."""

    modality: ClassVar[Literal["text", "image"]] = "image"

    def vary(self, pixels: Any, rng: Any) -> Any:
        import numpy as np

        height, width = pixels.shape[:2]
        down, across = (max(1, round(self.config.share * side)) for side in (height, width))
        top, left = rng.integers(0, 2 * down + 1), rng.integers(0, 2 * across + 1)
        padded = np.pad(pixels, ((down, down), (across, across), (0, 0)), mode="edge")
        return padded[top : top + height, left : left + width]
