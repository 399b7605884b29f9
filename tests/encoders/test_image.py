"""Image files as users have them: formats, colours, rotation, damage and traps."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modelwright.encoders import open_encoder
from modelwright.encoders.image import (
    MAX_PIXELS,
    ImageEncoder,
    ImageSettings,
    from_base64,
    open_image,
)

RGB = ImageEncoder(ImageSettings((8, 8), 3))
GREY = ImageEncoder(ImageSettings((8, 8), 1, (0.5,), (0.25,)))
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def encoded(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(data: bytes, encoder: ImageEncoder = RGB) -> np.ndarray:
    return encoder.pixels([data])[0]


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp", "gif", "tiff"])
def test_every_usual_format_is_read_in_its_colours(kind: str) -> None:
    seen = pixels(encoded(Image.new("RGB", (16, 16), RED), kind))
    assert seen.shape == (8, 8, 3)
    assert seen.dtype == np.uint8
    assert np.abs(seen.mean(axis=(0, 1)) - RED).max() < 6


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
@pytest.mark.parametrize("encoder", [RGB, GREY], ids=["colour", "grey"])
def test_every_mode_becomes_8_bits_a_channel(mode: str, encoder: ImageEncoder) -> None:
    kind = "tiff" if mode in {"CMYK", "YCbCr"} else "png"
    white = Image.new("L", (16, 16), 255)
    image = (
        Image.fromarray(np.full((16, 16), 65535, np.uint16))
        if mode == "I;16"
        else white.convert("RGB").convert(mode)
        if mode in {"CMYK", "YCbCr"}
        else white.convert(mode)
    )
    seen = pixels(encoded(image, kind), encoder)
    assert seen.shape == (8, 8, encoder.settings.channels)
    assert seen.min() >= 250


def test_16_bit_greys_keep_their_shades() -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    seen = pixels(encoded(Image.fromarray(ramp)), GREY)[..., 0]
    assert np.abs(seen.astype(float) - ramp / 256).max() < 2


def test_transparent_pixels_are_white_whatever_colour_hides_under_them() -> None:
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 4, 8))
    seen = pixels(encoded(image))
    assert seen[0, 0].tolist() == [255, 0, 0]
    assert seen[0, 7].tolist() == [255, 255, 255]


@pytest.mark.parametrize("transparency", [0, bytes([0, 255])], ids=["index", "table"])
def test_a_palette_with_transparency_is_read_without_a_warning(transparency: int | bytes) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 0, 255, 0])
    image.paste(0, (0, 0, 4, 8))
    seen = pixels(encoded(image, transparency=transparency))
    assert seen[0, 0].tolist() == [255, 255, 255]
    assert seen[0, 7].tolist() == [0, 255, 0]


def test_a_photo_is_turned_as_its_exif_data_says() -> None:
    image = Image.new("RGB", (8, 8), BLUE)
    image.paste(RED, (0, 0, 8, 4))  # red above
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright: red is on the right
    seen = pixels(encoded(image, "jpeg", exif=exif, quality=95, subsampling=0)).astype(int)
    assert seen[4, 7, 0] > 200 > seen[4, 7, 2] + 100
    assert seen[4, 0, 2] > 200 > seen[4, 0, 0] + 100


@pytest.mark.parametrize("size", [(1, 1), (4000, 2), (2, 4000), (3, 5)])
def test_any_shape_is_scaled_to_the_models_size(size: tuple[int, int]) -> None:
    assert pixels(encoded(Image.new("RGB", size, GREEN)))[..., 1].min() == 255


def test_a_picture_of_the_right_size_is_not_resampled() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert (pixels(encoded(Image.fromarray(picture))) == picture).all()


def test_values_are_normalised_by_channel_and_channels_come_first() -> None:
    encoder = ImageEncoder(ImageSettings((1, 1), 3, (0.0, 0.5, 1.0), (1.0, 0.5, 0.25)))
    values = encoder.normalise(np.array([[[255, 255, 0]]], np.uint8))
    assert values.shape == (3, 1, 1)
    assert values.ravel().tolist() == pytest.approx([1.0, 1.0, -4.0])


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif", "tiff", "bmp"])
def test_a_file_cut_short_is_refused(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(ValueError, match="not a readable image"):
        open_image(data[: len(data) // 2])


@pytest.mark.parametrize("data", [b"", b"hello", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n", bytes(1000)])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a readable image"):
        open_image(data)


def test_a_format_that_starts_another_program_is_never_reached() -> None:
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    assert Image.open(io.BytesIO(script)).format == "EPS"
    with pytest.raises(ValueError, match="not a readable image"):
        open_image(script)


@pytest.mark.parametrize("side", [8000, 12_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(side: int) -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"x"))
    assert side * side > MAX_PIXELS
    with pytest.raises(ValueError, match="pixels"):
        open_image(bomb)


@settings(max_examples=150)
@given(
    place=st.integers(0, 10_000),
    value=st.integers(0, 255),
    kind=st.sampled_from(["png", "jpeg", "webp", "gif", "tiff", "bmp"]),
)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    place: int, value: int, kind: str
) -> None:
    image = Image.new("RGB", (24, 24), RED)
    exif = Image.Exif()
    exif[0x0112] = 3
    data = bytearray(encoded(image, kind, **({"exif": exif} if kind in {"png", "jpeg"} else {})))
    data[place % len(data)] = value
    try:
        assert pixels(bytes(data)).shape == (8, 8, 3)
    except ValueError as error:
        assert str(error)


def test_base64_may_be_bare_wrapped_in_lines_or_a_data_uri() -> None:
    data = encoded(Image.new("RGB", (40, 40), RED))
    text = base64.b64encode(data).decode()
    assert from_base64(text) == data
    assert from_base64("data:image/png;base64," + text) == data
    assert from_base64(base64.encodebytes(data).decode()) == data


@pytest.mark.parametrize("text", ["***", "abc", "ünïcode", "data:image/png;base64,??"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not base64"):
        from_base64(text)


def test_saving_and_opening_keeps_the_settings(tmp_path: Path) -> None:
    encoder = ImageEncoder(ImageSettings((8, 9), 1, (0.5,), (0.25,)))
    encoder.save(tmp_path)
    opened = open_encoder(tmp_path)
    assert isinstance(opened, ImageEncoder)
    assert opened.settings == encoder.settings
