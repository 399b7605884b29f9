"""Horizontal flip: mirrors half of the images left to right.

For photographs and objects; not for digits, letters, or anything whose side means something.

    data: {augment: [horizontal-flip]}
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.data.augmenters import Augmenter

VERSION = 1


class Config(BaseModel):
    """Options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    probability: float = Field(0.5, gt=0, le=1, description="Share of images that are mirrored.")


@final
class HorizontalFlip(Augmenter):
    """See the module."""

    modality: ClassVar[Literal["text", "image"]] = "image"

    def vary(self, pixels: Any, rng: Any) -> Any:
        return pixels[:, ::-1] if rng.random() < self.config.probability else pixels
