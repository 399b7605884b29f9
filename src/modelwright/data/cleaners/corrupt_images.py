"""Drops images that can't be decoded to the last pixel, or are too small to show anything.

The image tasks decode every image already while they read it; this cleaner is for tasks that don't,
and for its limits on size.

    data: {clean: [{corrupt-images: {min_side: 16}}]}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.data.cleaners import Cleaner

if TYPE_CHECKING:
    from modelwright.data.chunks import Chunk

VERSION = 1


class Config(BaseModel):
    """What an image must be."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    min_side: int = Field(1, ge=1, description="Fewest pixels of the shorter side.")


@final
class CorruptImages(Cleaner):
    """See the module."""

    modalities: ClassVar[tuple[str, ...]] = ("image",)
    config: Config

    def see(self, chunk: Chunk) -> None:
        from modelwright.encoders.image import open_image

        for position, data in enumerate(chunk.contents):
            try:
                image = open_image(data)
            except ValueError as error:
                chunk.drop(position, "corrupt-image", str(error))
                continue
            if min(image.size) < self.config.min_side:
                chunk.drop(position, "small-image", f"{image.width} x {image.height} pixels")
