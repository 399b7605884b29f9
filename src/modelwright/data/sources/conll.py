"""Tokens with tags, one a line, a blank line between sentences (CoNLL and its relatives).

    data: {source: train.conll.gz}
    data: {source: eng.train, format: conll, options: {token_column: 0, tag_column: 3}}

A row is a sentence: {"tokens": [...], "tags": [...]}; its line is the line of its first token.
Cells are separated by tabs, or by spaces where the file has no tabs. The tag is the last cell
unless `tag_column` says otherwise. `-DOCSTART-` lines and the comments of CoNLL-U are passed over.
A line with too few cells or undecodable bytes breaks its sentence, and no other. A tag without a
token (an empty first cell) is left out as the repair `empty-token`. Files may be compressed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar, Literal, final

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

_SPACES = re.compile(r"[ \t]+")
_COMMENT = re.compile(r"#[^\t]*$")
_TAG = re.compile(r"^(O|[BIESLUM][-_].+)$")


class Config(BaseModel):
    """Options of tagged tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    token_column: int = Field(0, description="Cell that holds the token, from 0.")
    tag_column: int = Field(-1, description="Cell that holds the tag, from 0; -1 is the last.")
    separator: Literal["auto", "tab", "space"] = Field(
        "auto", description="What stands between cells; auto: tab where the file has tabs."
    )
    encoding: str = Field("auto", description="Text encoding, such as utf-8 or gb18030.")


@final
class Conll(Source):
    """Sentences of tagged tokens."""

    suffixes: ClassVar[tuple[str, ...]] = (".conll", ".bio", ".iob", ".iob2", ".bmes", ".conllu")
    config: Config

    @classmethod
    def claims(cls, location: str) -> float:
        seen = _glimpse.at(location)
        odd_name = seen.one and (seen.unknown or seen.by_suffix((".train", ".testa", ".testb")))
        return max(seen.by_suffix(cls.suffixes), 0.8 * bool(odd_name and _looks(seen.lines())))

    @cached_property
    def _inputs(self) -> list[_files.Input]:
        return _files.find(self.location, self.suffixes)

    def columns(self) -> list[str]:
        first = next((row for row in self.rows() if isinstance(row, RawRow)), None)
        return list(first.values) if first else ["tokens", "tags"]

    def rows(self) -> Iterator[RawRow | BrokenRow]:
        number = 0
        for item in self._inputs:
            encoding = _encoding.resolve(item, self.config.encoding)
            shape = _Shape.of(_lines.opening_text(item, encoding), self.config)
            for start, lines in _sentences(item, encoding):
                row = _row(start, lines, shape, number, item.name)
                if row is not None:
                    yield row
                    number += 1
        if not number:
            raise _files.empty(self._inputs[0].name)

    def fingerprint(self) -> str:
        return _files.combined(self._inputs)


def _looks(lines: list[str]) -> bool:
    full = [line for line in lines if not _lines.is_blank(line)]
    if not full or len(full) == len(lines):
        return False
    cells = [_SPACES.split(line.strip()) for line in full]
    tagged = sum(len(each) > 1 and bool(_TAG.match(each[-1])) for each in cells)
    return tagged > 0.9 * len(full)


class _Shape:
    """How a file's lines divide into cells."""

    def __init__(self, tabs: bool, width: int, token: int, tag: int) -> None:
        self.tabs, self.width, self.token, self.tag = tabs, width, token, tag

    @classmethod
    def of(cls, lines: list[str], config: Config) -> _Shape:
        full = [line for line in lines if not _lines.is_blank(line) and line[:10] != "-DOCSTART-"]
        full = [line for line in full if not _COMMENT.match(line)] or full
        tabs = config.separator == "tab" or (
            config.separator == "auto" and sum("\t" in line for line in full) * 2 > len(full)
        )
        shape = cls(tabs, 0, config.token_column, config.tag_column)
        widths = Counter(len(shape.cells(line)) for line in full)
        shape.width = max(widths, key=lambda width: widths[width]) if widths else 2
        return shape

    @property
    def has_tags(self) -> bool:
        return self.width > 1

    def cells(self, line: str) -> list[str]:
        line = line.rstrip("\r\n")
        return line.split("\t") if self.tabs else _SPACES.split(line.strip(" \t"))

    def is_comment(self, line: str) -> bool:
        return line.startswith("#") and len(self.cells(line)) != self.width


def _sentences(item: _files.Input, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """The first line's number and the lines of each sentence."""
    lines: list[str] = []
    start = 0
    for block in _lines.blocks(item, encoding):
        for at, line in enumerate(block.lines, block.first):
            if not _lines.is_blank(line):
                start = start if lines else at
                lines.append(line)
            elif lines:
                yield start, lines
                lines = []
    if lines:
        yield start, lines


def _row(
    start: int, lines: list[str], shape: _Shape, number: int, file: str
) -> RawRow | BrokenRow | None:
    """One sentence, or None when its lines are only comments or document marks."""
    tokens: list[str] = []
    tags: list[str] = []
    repairs: tuple[str, ...] = ()
    first = 0
    for at, line in enumerate(lines, start):
        if line.startswith("-DOCSTART-") or shape.is_comment(line):
            continue
        first = first or at
        cells = shape.cells(line)
        try:
            token, tag = cells[shape.token], cells[shape.tag]
        except IndexError:
            token = tag = ""
        wrong = _lines.problem(line)
        if wrong is None and (len(cells) < shape.width or (shape.has_tags and not tag)):
            wrong = "wrong-column-count", f"{len(cells)} cells, {shape.width} usual: {line[:80]!r}"
        if wrong is not None:
            return BrokenRow(*wrong, number, file, at)
        if token:
            tokens.append(token)
            tags.append(tag)
        else:
            repairs = ("empty-token",)
    if not tokens:
        return BrokenRow("empty-token", "no token", number, file, first) if first else None
    values = {"tokens": tokens, "tags": tags} if shape.has_tags else {"tokens": tokens}
    return RawRow(values, number, file, first, repairs)
