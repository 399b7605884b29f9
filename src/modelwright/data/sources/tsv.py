"""Tab-separated text with a header or without; encoding is found out.

    data: {source: train.tsv}

As csv with the tab as delimiter. Quotes count as quoting only where they enclose whole cells in
the first rows; in many published tsv files a quote is just a character, and is kept as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar, Literal, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.data.sources import BrokenRow, RawRow, Source, _delimited, _files, _glimpse

VERSION = 1


class Config(BaseModel):
    """Options of tab-separated text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    quoting: Literal["auto", "standard", "none"] = Field(
        "auto", description='standard: "..." encloses a cell; none: a quote is a character.'
    )
    header: Literal["auto"] | bool = Field(
        "auto", description="Whether the first row holds the column names."
    )
    columns: list[str] | None = Field(
        None, description="Column names; they replace those of a header."
    )
    encoding: str = Field("auto", description="Text encoding, such as utf-8 or gb18030.")


@final
class Tsv(Source):
    """Tab-separated text."""

    suffixes: ClassVar[tuple[str, ...]] = (".tsv", ".tab")
    config: Config

    @classmethod
    def claims(cls, location: str) -> float:
        return _glimpse.at(location).by_suffix(cls.suffixes)

    @cached_property
    def _inputs(self) -> list[_files.Input]:
        return _files.find(self.location, self.suffixes)

    @cached_property
    def _reader(self) -> _delimited.Reader:
        config = self.config
        settings = _delimited.Settings(
            delimiter="\t",
            quoted=None if config.quoting == "auto" else config.quoting == "standard",
            header=None if config.header == "auto" else config.header,
            names=config.columns,
            encoding=config.encoding,
            preferred="\t",
        )
        return _delimited.Reader(self._inputs, settings)

    def columns(self) -> list[str]:
        return self._reader.columns()

    def rows(self) -> Iterator[RawRow | BrokenRow]:
        return self._reader.rows()

    def fingerprint(self) -> str:
        return _files.combined(self._inputs)
