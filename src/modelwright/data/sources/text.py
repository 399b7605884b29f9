"""Plain text: one document a line.

    data: {source: corpus.txt.gz}

Blank lines are no documents. A line with bytes that the file's encoding doesn't have is set aside
as `undecodable`. Files may be compressed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.data.sources import (
    BrokenRow,
    RawRow,
    Source,
    _encoding,
    _files,
    _glimpse,
    _lines,
)

VERSION = 1


class Config(BaseModel):
    """Options of plain text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    column: str = Field("text", min_length=1, description="Name of the one column.")
    encoding: str = Field("auto", description="Text encoding, such as utf-8 or gb18030.")


@final
class Text(Source):
    """Lines of text."""

    suffixes: ClassVar[tuple[str, ...]] = (".txt", ".text")
    config: Config

    @classmethod
    def claims(cls, location: str) -> float:
        seen = _glimpse.at(location)
        readable = seen.unknown and bool(seen.lines())
        return max(0.55 * seen.by_suffix(cls.suffixes), 0.2 * readable)

    @cached_property
    def _inputs(self) -> list[_files.Input]:
        return _files.find(self.location, self.suffixes)

    def columns(self) -> list[str]:
        return [self.config.column] if self._inputs else []

    def rows(self) -> Iterator[RawRow | BrokenRow]:
        number, column = 0, self.config.column
        for item in self._inputs:
            encoding = _encoding.resolve(item, self.config.encoding)
            for block in _lines.blocks(item, encoding):
                for at, line in enumerate(block.lines, block.first):
                    if line.isspace():
                        continue
                    text = line.rstrip("\r\n")
                    if block.doubtful:
                        yield _doubtful(column, text, number, item.name, at)
                    else:
                        yield RawRow({column: text}, number, item.name, at)
                    number += 1
        if not number:
            raise _files.empty(self._inputs[0].name)

    def fingerprint(self) -> str:
        return _files.combined(self._inputs)


def _doubtful(column: str, text: str, number: int, file: str, at: int) -> RawRow | BrokenRow:
    """A line of a block in which some line is damaged."""
    if wrong := _lines.problem(text):
        return BrokenRow(*wrong, number, file, at)
    repairs = ("nul-bytes",) if "\0" in text else ()
    return RawRow({column: text.replace("\0", "")}, number, file, at, repairs)
