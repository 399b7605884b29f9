"""Delimited text with a header or without; delimiter, quoting and encoding are found out.

    data: {source: tickets.csv}
    data: {source: "export/*.csv.gz", format: csv, options: {delimiter: ";", header: false}}

Delimiters looked for are comma, semicolon, tab and bar. Quotes follow RFC 4180; a quoted cell may
hold line ends. One stray quote costs its own line (`unbalanced-quotes`), never the rest of the
file. A line with bytes that the file's encoding doesn't have is set aside as `undecodable`;
nothing is guessed into it. Without a header, columns are `column_1`, `column_2`, ... or what
`columns` says.
Files may be compressed (.gz, .bz2, .xz, .zip).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, ClassVar, Literal, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.data.sources import BrokenRow, RawRow, Source, _delimited, _files, _glimpse

VERSION = 1


class Config(BaseModel):
    """Options of delimited text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    delimiter: Literal["auto"] | Annotated[str, Field(min_length=1, max_length=1)] = Field(
        "auto", description="The character between cells; auto: , ; tab or |."
    )
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
class Csv(Source):
    """Delimited text."""

    suffixes: ClassVar[tuple[str, ...]] = (".csv",)
    config: Config

    @classmethod
    def claims(cls, location: str) -> float:
        seen = _glimpse.at(location)
        return max(seen.by_suffix(cls.suffixes), 0.6 * seen.is_table())

    @cached_property
    def _inputs(self) -> list[_files.Input]:
        return _files.find(self.location, self.suffixes)

    @cached_property
    def _reader(self) -> _delimited.Reader:
        config = self.config
        settings = _delimited.Settings(
            delimiter=None if config.delimiter == "auto" else config.delimiter,
            quoted=None if config.quoting == "auto" else config.quoting == "standard",
            header=None if config.header == "auto" else config.header,
            names=config.columns,
            encoding=config.encoding,
        )
        return _delimited.Reader(self._inputs, settings)

    def columns(self) -> list[str]:
        return self._reader.columns()

    def rows(self) -> Iterator[RawRow | BrokenRow]:
        return self._reader.rows()

    def fingerprint(self) -> str:
        return _files.combined(self._inputs)
