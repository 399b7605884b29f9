"""Images to arrays: decode, convert, resize, scale; PIL and numpy only."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.runtime.files import read_json, write_json

if TYPE_CHECKING:
    import numpy as np

MAX_PIXELS = 50_000_000


@dataclass(frozen=True)
class ImageSettings:
    """How an image is read; saved as `encoder.json`.

    Attributes:
        size: height and width in pixels that the model sees.
        channels: 1 (grey) or 3 (RGB).
        mean: mean to subtract, by channel, of values in [0, 1].
        std: deviation to divide by, by channel.
        inputs: the model's input names.
    """

    size: tuple[int, int] = (224, 224)
    channels: int = 3
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    inputs: tuple[str, ...] = ("pixel_values",)


class ImageEncoder:
    """Image bytes to a float32 array [channels, height, width]."""

    kind = "image"

    def __init__(self, settings: ImageSettings) -> None:
        self.settings = settings

    @classmethod
    def open(cls, folder: Path) -> ImageEncoder:
        """Read `encoder.json`."""
        values = read_json(folder / "encoder.json")
        return cls(ImageSettings(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}))

    def save(self, folder: Path) -> None:
        """Write `encoder.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "encoder.json", asdict(self.settings))

    def pixels(self, images: Sequence[bytes]) -> list[np.ndarray]:
        """Decode and scale images to uint8 arrays [height, width, channels]."""
        return [self._pixels(data) for data in images]

    def normalise(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [..., H, W, C] to the model's float32 [..., C, H, W]."""
        import numpy as np

        scaled = pixels.astype(np.float32) / 255.0
        scaled = (scaled - np.float32(self.settings.mean)) / np.float32(self.settings.std)
        return np.ascontiguousarray(np.moveaxis(scaled, -1, -3))

    def _pixels(self, data: bytes) -> np.ndarray:
        import numpy as np
        from PIL import Image

        image = open_image(data).convert("L" if self.settings.channels == 1 else "RGB")
        height, width = self.settings.size
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        array = np.asarray(image, dtype=np.uint8)
        return array[..., None] if array.ndim == 2 else array


def open_image(data: bytes) -> Any:
    """Decode an image whole.

    Raises:
        ValueError: not an image, cut short, or more than `MAX_PIXELS`.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data))
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels exceed {MAX_PIXELS:,}")
        image.load()
        return ImageOps.exif_transpose(image)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"not a readable image: {error}") from error


def from_base64(text: str) -> bytes:
    """Bytes of a base64 string or a `data:image/...;base64,` URI; ValueError otherwise."""
    _, _, body = text.partition(",") if text.startswith("data:") else ("", "", text)
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64") from error
