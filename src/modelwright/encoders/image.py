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
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""What is decoded; PIL's other readers (some start other programs) are never reached."""


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
        fixed: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(ImageSettings(**fixed))

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
        mean = np.array(self.settings.mean, dtype=np.float32)
        scaled = (scaled - mean) / np.array(self.settings.std, dtype=np.float32)
        return np.ascontiguousarray(np.moveaxis(scaled, -1, -3))

    def _pixels(self, data: bytes) -> np.ndarray:
        import numpy as np
        from PIL import Image

        image = plain(open_image(data), self.settings.channels)
        height, width = self.settings.size
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        array = np.asarray(image, dtype=np.uint8)
        return array[..., None] if array.ndim == 2 else array


def open_image(data: bytes) -> Any:
    """Decode an image whole, turned the way its EXIF data says.

    Raises:
        ValueError: not an image of `FORMATS`, cut short, empty, or more than `MAX_PIXELS`.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        pixels = image.width * image.height
        if 0 < pixels <= MAX_PIXELS:
            image.load()
            return ImageOps.exif_transpose(image)
    except UnidentifiedImageError as error:  # its own words hold a memory address
        raise ValueError("not a readable image: its kind is not known") from error
    except Exception as error:
        raise ValueError(f"not a readable image: {error}") from error
    raise ValueError(f"{image.width} x {image.height} pixels, from 1 to {MAX_PIXELS:,} are read")


def plain(image: Any, channels: int) -> Any:
    """An image in 8 bits a channel, grey (1) or RGB (3), on white where it is transparent."""
    from PIL import Image

    mode = "L" if channels == 1 else "RGB"
    if image.mode.startswith("I"):  # 16 bits a pixel; convert() would cut them off at 255
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if not image.has_transparency_data:
        return image.convert(mode)
    above = image.convert("RGBA")
    white = Image.new("RGBA", above.size, "white")
    return Image.alpha_composite(white, above).convert(mode)


def from_base64(text: str) -> bytes:
    """Bytes of a base64 string (line breaks allowed) or a `data:image/...;base64,` URI.

    Raises:
        ValueError: anything else.
    """
    _, _, body = text.partition(",") if text.startswith("data:") else ("", "", text)
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64") from error
