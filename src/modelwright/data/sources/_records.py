"""Delimited text to records, so that one stray quote costs one line and not the rest of the file.

Python's csv module does the reading, in its strict mode. Where it objects, or where a quoted row
grows beyond what a row can be, the first physical line is given up as broken and reading goes on
with the next line.
"""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from modelwright.data.sources import _lines
from modelwright.data.sources._lines import Block, is_blank
from modelwright.runtime.quotes import UNBALANCED, is_swallowed, is_too_large, leniently

NO_DELIMITER = "\x1f"
"""Delimiter of a file with one column: a character that no text has."""

_FIELD_LIMIT = 64 << 20


@dataclass(frozen=True)
class Dialect:
    """How the file delimits and quotes.

    Attributes:
        delimiter: one character.
        quoted: whether `"` quotes; otherwise it is a character like others.
        escape: a character that takes the next one literally, or None.
        initial_space: whether spaces after a delimiter don't count.
    """

    delimiter: str
    quoted: bool = True
    escape: str | None = None
    initial_space: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of csv.reader, without `strict`."""
        return {
            "delimiter": self.delimiter,
            "quoting": csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
            "escapechar": self.escape,
            "skipinitialspace": self.initial_space,
        }


@dataclass(frozen=True, slots=True)
class Note:
    """What was wrong with a record: broken, or read after a repair (`reason` is the slug)."""

    reason: str
    detail: str
    broken: bool


Record = tuple[int, list[str], Note | None]
"""First line from 1, cells, and what was wrong if anything."""


def records(blocks: Iterable[Block], dialect: Dialect, width: int | None) -> Iterator[Record]:
    """Every row of a file that is not blank, whole or broken.

    Args:
        blocks: the file's lines.
        dialect: how they are delimited.
        width: cells that a row should have, where known.
    """
    if csv.field_size_limit() < _FIELD_LIMIT:
        csv.field_size_limit(_FIELD_LIMIT)
    pending: list[str] = []
    after, doubtful = 1, False
    for block in blocks:
        lines, first = [*pending, *block.lines], block.first - len(pending)
        doubtful = block.doubtful or (doubtful and bool(pending))
        found = _rows(lines, first, dialect, width, final=False)
        pending = yield from _checked(found) if doubtful else found
        after = block.first + len(block.lines)
    found = _rows(pending, after - len(pending), dialect, width, final=True)
    yield from _checked(found) if doubtful else found


def _rows(
    lines: list[str], first: int, dialect: Dialect, width: int | None, *, final: bool
) -> Generator[Record, None, list[str]]:
    """The rows of some lines; returns the lines of a last row that is not whole yet."""
    at, options = 0, dialect.options
    while at < len(lines):
        start, reader = at, csv.reader(islice(lines, at, None), **options, strict=True)
        try:
            for cells in reader:
                end = at + reader.line_num
                taken = lines[start:end] if end - start > 1 else []
                if taken and (is_too_large(taken) or is_swallowed(taken, cells, width, options)):
                    yield first + start, [], _unbalanced(lines[start])
                    break
                if cells and (len(cells) > 1 or width == 1 or not is_blank(lines[start])):
                    yield first + start, cells, None
                start = end
            else:
                return []
        except csv.Error as error:
            cut_short = "unexpected end of data" in str(error)
            if cut_short and not final and not is_too_large(lines[start:]):
                return lines[start:]
            alone = not cut_short and at + reader.line_num - start == 1
            yield (
                _repaired(lines[start], first + start, dialect)
                if alone
                else (
                    first + start,
                    [],
                    _unbalanced(lines[start]),
                )
            )
        at = start + 1
    return []


def _repaired(line: str, number: int, dialect: Dialect) -> Record:
    """One line whose quotes break the rules but not the row: `"so" he said,label`."""
    return number, leniently(line, dialect.options), Note("stray-quote", _shown(line), broken=False)


def _unbalanced(line: str) -> Note:
    return Note("unbalanced-quotes", f"{UNBALANCED} in: {_shown(line)}", broken=True)


def _shown(line: str) -> str:
    return line.strip()[:80]


def _checked(
    found: Generator[Record, None, list[str]],
) -> Generator[Record, None, list[str]]:
    """Set aside what could not be decoded and take out NULs, where a block has some."""
    while True:
        try:
            line, cells, note = next(found)
        except StopIteration as stop:
            return stop.value
        text = "".join(cells)
        if wrong := _lines.problem(text):
            note = Note(*wrong, broken=True)
        elif "\0" in text:
            cells = [cell.replace("\0", "") for cell in cells]
            note = note or Note("nul-bytes", f"{text.count(chr(0))} NUL characters", broken=False)
        yield line, cells, note
