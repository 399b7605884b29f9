"""What csv and tsv share: from files to named rows.

A row with too few or too many cells is broken (`wrong-column-count`), unless the cells too many are
empty and at its end: these are cut off (`extra-empty-cells`). Blank lines are no rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from modelwright.data.sources import BrokenRow, RawRow, _encoding, _files, _lines, _sniffing
from modelwright.data.sources._files import Input
from modelwright.data.sources._records import Dialect, Note, Record, records
from modelwright.errors import UserError

_SAMPLE_LINES = 1000
_SAMPLE_SIZE = 256 << 10


@dataclass(frozen=True)
class Settings:
    """What the user fixed; None is found out from the file.

    Attributes:
        delimiter: one character.
        quoted: whether `"` quotes.
        header: whether the first row holds names.
        names: column names, instead of or in place of the header's.
        encoding: a codec's name.
        preferred: the delimiter that wins where several fit.
    """

    delimiter: str | None = None
    quoted: bool | None = None
    header: bool | None = None
    names: Sequence[str] | None = None
    encoding: str | None = None
    preferred: str = ","


@dataclass(frozen=True)
class Layout:
    """How one file is laid out; `skip` are the lines that hold no row (names, a hint)."""

    encoding: str
    dialect: Dialect
    names: list[str]
    skip: tuple[int, ...]
    header: list[str] | None


class Reader:
    """Reads the files of one location with the same settings."""

    def __init__(self, inputs: Sequence[Input], settings: Settings) -> None:
        self._inputs, self._settings = inputs, settings
        self._layouts: list[tuple[Input, Layout]] | None = None

    def columns(self) -> list[str]:
        """Column names of all files, in order of appearance."""
        return list(dict.fromkeys(name for _, layout in self._each() for name in layout.names))

    def rows(self) -> Iterator[RawRow | BrokenRow]:
        """All rows of all files; numbers run on."""
        number = 0
        for item, layout in self._each():
            for row in _rows(item, layout, number):
                number = row.number + 1
                yield row

    def _each(self) -> list[tuple[Input, Layout]]:
        if self._layouts is None:
            self._layouts = []
            first: Layout | None = None
            for item in self._inputs:
                layout = _layout(item, self._settings, first)
                if layout is not None:
                    first = first or layout
                    self._layouts.append((item, layout))
            if not self._layouts:
                raise _files.empty(self._inputs[0].name)
        return self._layouts


def _layout(item: Input, settings: Settings, first: Layout | None) -> Layout | None:
    """How a file is laid out, or None when it is empty."""
    encoding = _encoding.resolve(item, settings.encoding)
    lines = _lines.opening_text(item, encoding, _SAMPLE_LINES, _SAMPLE_SIZE)
    if not any(line.strip("\ufeff\r\n \t\0") for line in lines):
        return None
    dialect = _sniffing.dialect_of(
        lines,
        delimiter=settings.delimiter,
        quoted=settings.quoted,
        preferred=settings.preferred,
    )
    found = [record for record in _sniffing.read(lines, dialect) if record[1]]
    skip = (1,) if _sniffing.HINT.match(lines[0]) else ()
    found = [record for record in found if record[0] not in skip]
    rows = [(line, cells) for line, cells, note in found if not (note and note.broken)]
    at, top = rows[0] if rows else (0, [])
    width, _ = _sniffing.usual_width(found[1:] or found)
    header = _decide_header(settings, top, [cells for _, cells in rows[1:]], first)
    if not header and len(top) > width:
        width = len(top)
    names = _names(item, settings, top if header else None, width, first)
    return Layout(
        encoding, dialect, names, (*skip, at) if header else skip, top if header else None
    )


def _decide_header(
    settings: Settings, top: list[str], body: list[list[str]], first: Layout | None
) -> bool:
    if settings.header is not None:
        return settings.header
    if first is not None and (first.header is None or first.header == top):
        return first.header is not None
    return _sniffing.has_header(top, body)


def _names(
    item: Input, settings: Settings, header: list[str] | None, width: int, first: Layout | None
) -> list[str]:
    if settings.names is not None:
        if len(set(settings.names)) != len(settings.names):
            raise UserError(
                "MW-102",
                f"option columns names a column twice: {list(settings.names)}",
                expected="one name for each column",
                fix="rename one of them",
                file=item.name,
            )
        return list(settings.names)
    if header is not None:
        return _sniffing.column_names(header, width)
    if first is not None and len(first.names) == width:
        return first.names
    return _sniffing.column_names([""] * width, width)


def _rows(item: Input, layout: Layout, number: int) -> Iterator[RawRow | BrokenRow]:
    names, file, width = layout.names, item.name, len(layout.names)
    found = records(_lines.blocks(item, layout.encoding), layout.dialect, width)
    for line, cells, note in _without(found, layout.skip):
        if note is None and len(cells) == width:
            yield RawRow(dict(zip(names, cells, strict=True)), number, file, line)
        else:
            yield _uneven((line, cells, note), names, number, file)
        number += 1


def _without(found: Iterator[Record], skip: tuple[int, ...]) -> Iterator[Record]:
    """The records but those that begin on the lines to skip, which are among the first."""
    ahead: list[Record] = []
    for record in found:
        if record[0] not in skip:
            ahead.append(record)
        if record[0] >= max(skip, default=0):
            break
    return chain(ahead, found)


def _uneven(record: Record, names: list[str], number: int, file: str) -> RawRow | BrokenRow:
    """A row with a note, or with another number of cells than columns."""
    line, cells, note = record
    repairs = [note.reason] if note and not note.broken else []
    width = len(names)
    if len(cells) > width and not any(cell.strip() for cell in cells[width:]):
        cells, repairs = cells[:width], [*repairs, "extra-empty-cells"]
    elif len(cells) != width and not (note and note.broken):
        shown = " | ".join(cells)[:80]
        detail = f"{len(cells)} cells, {width} columns: {shown}"
        note = Note("wrong-column-count", detail, broken=True)
    if note and note.broken:
        return BrokenRow(note.reason, note.detail, number, file, line)
    return RawRow(dict(zip(names, cells, strict=True)), number, file, line, tuple(repairs))
