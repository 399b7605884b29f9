"""Images in one folder a class: CLASS/file.jpg, in a folder, in a zip, or behind a URL.

    data: {splits: {train: photos/train, test: photos/test}}
    data: {source: photos.zip}

The class is the name of the folder; where folders are split first (train/, test/), name one as the
location, also inside a zip (`photos.zip/train`). Hidden files are passed over. A file that can't be
decoded to its last pixel is set aside as `corrupt-image`. Images outside any class folder have no
label. Rows hold the file's bytes under `image` and the class under `label`.
"""

from __future__ import annotations

import contextlib
import io
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.data.sources import BrokenRow, RawRow, Source, _files, _glimpse
from modelwright.data.sources._files import Input
from modelwright.errors import UserError
from modelwright.runtime import libraries

VERSION = 1
REQUIRES = {"PIL": "data"}

_SPLITS = frozenset({"train", "val", "valid", "validation", "dev", "test", "eval"})


class Config(BaseModel):
    """Options of image folders."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    verify: bool = Field(
        True, description="Decode every image once, so that damaged ones are set aside here."
    )


@final
class ImageFolder(Source):
    """Images by class folder."""

    suffixes: ClassVar[tuple[str, ...]] = (
        ".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm",
    )  # fmt: skip
    config: Config

    @classmethod
    def claims(cls, location: str) -> float:
        seen = _glimpse.at(location)
        return 0.0 if seen.one and "/" not in seen.names[0] else seen.by_suffix(cls.suffixes)

    @cached_property
    def _images(self) -> list[tuple[Input, str | None]]:
        """Every image with its class."""
        _, inside = _files.split_zip(self.location)
        found = [item for item in _files.everything(self.location) if self._is_image(item)]
        if not found:
            found = _files.find(self.location, self.suffixes)
        paths = _unwrapped([_parts(item, inside) for item in found])
        self._refuse_splits(paths, found)
        return [
            (item, path[0] if len(path) > 1 else None)
            for item, path in zip(found, paths, strict=True)
        ]

    def _is_image(self, item: Input) -> bool:
        return _files.plain_suffix(item.name) in self.suffixes

    def _refuse_splits(self, paths: list[list[str]], found: list[Input]) -> None:
        tops = {path[0] for path in paths if len(path) > 1}
        if not tops or not tops <= _SPLITS or all(len(path) < 3 for path in paths):
            return
        where = {
            path[0]: f"{item.path if item.member else self.location}/{path[0]}"
            for path, item in zip(paths, found, strict=True)
        }
        raise UserError(
            "MW-201",
            f"{self.location} holds the splits {', '.join(sorted(tops))}, not classes",
            expected="one folder for each class",
            fix="name each split: " + ", ".join(f"{name}: {where[name]}" for name in sorted(tops)),
        )

    def columns(self) -> list[str]:
        return ["image", "label"] if any(label for _, label in self._images) else ["image"]

    def rows(self) -> Iterator[RawRow | BrokenRow]:
        if self.config.verify:
            libraries.require("PIL", "data")
        labelled = "label" in self.columns()
        for number, ((item, label), data) in enumerate(
            zip(self._images, _contents([item for item, _ in self._images]), strict=True)
        ):
            wrong = data if isinstance(data, str) else _fault(data) if self.config.verify else None
            if wrong is not None or isinstance(data, str):
                yield BrokenRow("corrupt-image", wrong or "", number, item.name)
                continue
            values = {"image": data, "label": label} if labelled else {"image": data}
            yield RawRow(values, number, item.name)

    def fingerprint(self) -> str:
        return _files.combined([item for item, _ in self._images], names=True)


def _parts(item: Input, inside: str) -> list[str]:
    """A file's path below the location as a list."""
    if item.member is None:
        return item.name.split("/")
    return item.member[len(inside) :].strip("/").split("/")


def _unwrapped(paths: list[list[str]]) -> list[list[str]]:
    """Without the folders that hold all class folders."""
    while all(len(path) > 2 for path in paths) and len({path[0] for path in paths}) == 1:
        paths = [path[1:] for path in paths]
    return paths


def _contents(items: list[Input]) -> Iterator[bytes | str]:
    """Each file's bytes, or why it can't be read; a zip is opened once."""
    with contextlib.ExitStack() as stack:
        opened: tuple[str, zipfile.ZipFile] | None = None
        for item in items:
            if item.member is not None and (opened is None or opened[0] != item.path):
                stack.close()
                opened = item.path, stack.enter_context(item.archive())
            yield _content(item, opened[1] if opened else None)


def _content(item: Input, archive: zipfile.ZipFile | None) -> bytes | str:
    try:
        if item.member is not None and archive is not None:
            return archive.read(item.member)
        with item.stored() as file:
            return file.read()
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        return str(error)
    except UserError as error:
        if error.problem.code == "MW-207":
            raise
        return error.problem.seen


def _fault(data: bytes) -> str | None:
    """Why an image can't be decoded, or None."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                image.load()
    except UnidentifiedImageError:  # its own words hold a memory address
        return "its kind is not known"
    except (OSError, ValueError, SyntaxError, ArithmeticError, Image.DecompressionBombError) as why:
        return str(why)[:160] or type(why).__name__
    return None
