"""Random erasing: covers a random rectangle of an image with its mean colour (Zhong et al. 2020).

A model that has to do without any one part looks at all of them; helps against overfitting on few
images.

    data: {augment: [random-crop, random-erasing]}
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.data.augmenters import Augmenter

VERSION = 1


class Config(BaseModel):
    """Options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    probability: float = Field(0.5, gt=0, le=1, description="Share of images that are covered.")
    area: float = Field(0.2, gt=0, lt=1, description="Largest share of the image that is covered.")


@final
class RandomErasing(Augmenter):
    """See the module."""

    modality: ClassVar[Literal["text", "image"]] = "image"

    def vary(self, pixels: Any, rng: Any) -> Any:
        if rng.random() >= self.config.probability:
            return pixels
        height, width = pixels.shape[:2]
        area = rng.uniform(min(0.02, self.config.area), self.config.area) * height * width
        ratio = rng.uniform(0.5, 2.0)
        tall = min(height, max(1, round((area * ratio) ** 0.5)))
        wide = min(width, max(1, round((area / ratio) ** 0.5)))
        top, left = rng.integers(0, height - tall + 1), rng.integers(0, width - wide + 1)
        covered = pixels.copy()
        covered[top : top + tall, left : left + wide] = pixels.mean(axis=(0, 1)).astype("uint8")
        return covered
