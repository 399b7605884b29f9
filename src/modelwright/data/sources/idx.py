"""Images and labels in the idx format of MNIST and its relatives.

    data: {source: t10k-images-idx3-ubyte.gz}

Name the file with the images. Its labels are found beside it by name (`images-idx3` becomes
`labels-idx1`), or named by the option `labels`. A `labels.json` beside them (a list, or an object
from number to name) gives the classes their names. Rows hold the image as PNG bytes under `image`
and an integer under `label`. Images that the file announces but doesn't hold are set aside as
`cut-short`. Files may be compressed.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import PurePosixPath
from typing import BinaryIO, ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.data.sources import BrokenRow, RawRow, Source, _files, _glimpse
from modelwright.data.sources._files import Input
from modelwright.errors import UserError

VERSION = 1

_BYTE = 0x08
_MOST_PIXELS = 1 << 26


class Config(BaseModel):
    """Options of idx images."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    labels: str | None = Field(
        None, description="File with the labels; found beside the images when unset."
    )


@final
class Idx(Source):
    """Images and labels of one idx pair."""

    suffixes: ClassVar[tuple[str, ...]] = (".idx", ".idx3", ".idx3-ubyte", ".ubyte", "")
    config: Config

    @classmethod
    def claims(cls, location: str) -> float:
        seen = _glimpse.at(location)
        if seen.one:
            return 0.95 if seen.head[:4] in (b"\0\0\x08\x03", b"\0\0\x08\x04") else 0.0
        return 0.95 if any(_is_images(name) for name in seen.names) else 0.0

    @cached_property
    def _images(self) -> Input:
        found = _files.everything(self.location)
        if len(found) > 1:
            found = [item for item in found if _is_images(item.name)]
        if len(found) == 1:
            return found[0]
        raise UserError(
            "MW-201",
            f"{self.location} holds {len(found)} idx files with images",
            expected="one",
            fix="name the file: " + ", ".join(item.name for item in found),
        )

    @cached_property
    def _labels(self) -> Input | None:
        if self.config.labels is not None:
            return _files.everything(self.config.labels)[0]
        item = self._images
        for name in _label_names(PurePosixPath(item.path).name):
            if (found := _beside(item, name)) is not None:
                return found
        return None

    def columns(self) -> list[str]:
        return ["image"] if self._labels is None else ["image", "label"]

    def rows(self) -> Iterator[RawRow | BrokenRow]:
        item = self._images
        with item.open() as file:
            count, *shape = _header(file, item.name, (3, 4))
            labels = self._read_labels(count)
            size = math.prod(shape)
            for number in range(count):
                pixels = _exactly(file, size)
                if len(pixels) < size:
                    detail = f"the file announces {count} images and ends in number {number}"
                    yield BrokenRow("cut-short", detail, number, item.name)
                    continue
                values: dict[str, object] = {"image": _png(pixels, shape)}
                if labels is not None:
                    values["label"] = labels[number]
                yield RawRow(values, number, item.name)

    def fingerprint(self) -> str:
        parts = [self._images, self._labels, self._names_file]
        return _files.combined(part for part in parts if part is not None)

    def label_names(self) -> dict[str, list[str]]:
        item = self._names_file
        if item is None or self._labels is None:
            return {}
        try:
            names = json.loads(item.head(1 << 20))
            if isinstance(names, dict):
                names = [names[str(index)] for index in range(len(names))]
            if isinstance(names, list) and names:
                return {"label": [str(name) for name in names]}
        except (ValueError, KeyError):
            pass
        raise UserError(
            "MW-201",
            "the file does not name the classes",
            expected='["name of 0", "name of 1", ...] or {"0": "name", ...}',
            fix="correct it, or move it away to use the numbers",
            file=item.name,
        )

    @cached_property
    def _names_file(self) -> Input | None:
        return _beside(self._images, "labels.json")

    def _read_labels(self, count: int) -> bytes | None:
        item = self._labels
        if item is None:
            return None
        with item.open() as file:
            (announced,) = _header(file, item.name, (1,))
            labels = _exactly(file, announced)
        if len(labels) == count:
            return labels
        raise UserError(
            "MW-201",
            f"the file holds {len(labels)} labels for {count} images in {self._images.name}",
            expected="one label for each image",
            fix="name the right file with data.options.labels",
            file=item.name,
        )


def _is_images(name: str) -> bool:
    lowered = PurePosixPath(name).name.lower()
    return "images" in lowered and "idx" in lowered


def _label_names(name: str) -> list[str]:
    """What the labels of an images file may be called, compressed or not."""
    name = name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    bare = name
    for ending in _files.COMPRESSIONS:
        bare = bare.removesuffix(ending)
    return [name, bare, *(bare + ending for ending in _files.COMPRESSIONS)]


def _beside(item: Input, name: str) -> Input | None:
    path = str(PurePosixPath(item.path).parent / name)
    found = replace(item, name=name, path=path, member=None)
    return found if path != item.path and found.exists() else None


def _header(file: BinaryIO, name: str, ranks: tuple[int, ...]) -> list[int]:
    """The sizes that an idx file announces: count first."""
    magic = _exactly(file, 4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != _BYTE or magic[3] not in ranks:
        raise UserError(
            "MW-201",
            f"the file begins with {magic.hex(' ') or 'nothing'}",
            expected=f"an idx file of bytes with {' or '.join(map(str, ranks))} dimensions",
            fix="name a file such as train-images-idx3-ubyte.gz",
            file=name,
        )
    sizes = _exactly(file, 4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise _files.damaged(name, "it ends in its header")
    shape = list(struct.unpack(f">{magic[3]}I", sizes))
    if math.prod(shape[1:]) > _MOST_PIXELS or (magic[3] == 4 and shape[3] not in (1, 3)):
        raise _files.damaged(name, f"it announces images of {shape[1:]} pixels")
    return shape


def _exactly(file: BinaryIO, size: int) -> bytes:
    parts, left = [], size
    while left and (part := file.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _png(pixels: bytes, shape: list[int]) -> bytes:
    """PNG bytes (grey or RGB, 8 bits) of one image, [H, W] or [H, W, C]."""
    height, width = shape[:2]
    colour = 2 if len(shape) == 3 and shape[2] == 3 else 0
    row = len(pixels) // height if height else 0
    lines = b"".join(b"\0" + pixels[at * row : (at + 1) * row] for at in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
