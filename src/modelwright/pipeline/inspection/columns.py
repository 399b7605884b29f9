"""What the columns of a source hold: kinds of values, lengths, how many distinct ones."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from modelwright.data.sources import RawRow, Source

MAX_ROWS, MAX_SECONDS = 100_000, 8.0
_MAX_DISTINCT, _KEPT_TEXTS = 20_000, 2_000
SEPARATORS = ("|", ";", ",", "，", "、")


@dataclass
class ColumnFacts:
    """One column.

    Attributes:
        name: as the source has it.
        filled, missing: rows with a value and without.
        kinds: rows by kind of value: text, number, list, spans, bytes, other.
        counts: rows by value, while there are not too many.
        many: whether there are more distinct values than were counted.
        fractions: numeric rows whose number is not whole.
        low, high: the range of the numbers.
        length: sum of the characters of all texts.
        texts: the first texts.
        split: for each separator, rows that hold it; and the distinct pieces.
    """

    name: str
    filled: int = 0
    missing: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    many: bool = False
    fractions: int = 0
    low: float = math.inf
    high: float = -math.inf
    length: int = 0
    texts: list[str] = field(default_factory=list)
    split: Counter[str] = field(default_factory=Counter)
    pieces: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, value: Any) -> None:
        """Count one row's value."""
        kind = kind_of(value)
        if kind == "missing":
            self.missing += 1
            return
        self.filled += 1
        self.kinds[kind] += 1
        if kind == "list":
            self._count_pieces("[]", [str(item) for item in value])
        elif kind == "spans":
            self._count_pieces("[]", [str(item.get("label", "")) for item in value])
        elif kind in {"text", "number"}:
            self._add_scalar(str(value), kind)

    def _add_scalar(self, text: str, kind: str) -> None:
        if kind == "number":
            number = float(text)
            self.fractions += not number.is_integer()
            self.low, self.high = min(self.low, number), max(self.high, number)
        self.length += len(text)
        if len(self.texts) < _KEPT_TEXTS:
            self.texts.append(text)
        if text in self.counts or len(self.counts) < _MAX_DISTINCT:
            self.counts[text] += 1
        else:
            self.many = True
        for separator in SEPARATORS:
            if separator in text:
                self.split[separator] += 1
                self._count_pieces(separator, text.split(separator))

    def _count_pieces(self, separator: str, items: list[str]) -> None:
        pieces = self.pieces.setdefault(separator, Counter())
        if len(pieces) < _MAX_DISTINCT:
            pieces.update(item.strip() for item in items)

    @property
    def kind(self) -> str:
        """The kind of nearly all values; `text` where numbers and texts are mixed."""
        if not self.filled:
            return "missing"
        kind, rows = self.kinds.most_common(1)[0]
        if kind == "number" and rows < 0.98 * self.filled:
            return "text"
        return kind

    @property
    def distinct(self) -> int:
        return len(self.counts)

    @property
    def repetition(self) -> float:
        """Rows a distinct value; 1 where every value is its own."""
        return self.filled / self.distinct if self.distinct else 0.0

    @property
    def mean_length(self) -> float:
        return self.length / self.filled if self.filled else 0.0


@dataclass
class TableFacts:
    """All columns of the rows that were read.

    Attributes:
        columns: in the source's order.
        rows: how many were read; `whole` says whether these are all.
        broken: rows that could not be read.
    """

    columns: list[ColumnFacts]
    rows: int = 0
    broken: int = 0
    whole: bool = True

    def find(self, name: str | None) -> ColumnFacts | None:
        """The column of a name."""
        return next((column for column in self.columns if column.name == name), None)


def kind_of(value: Any) -> str:
    """missing, number, text, list, spans, bytes, or other."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return "missing"
    if isinstance(value, float) and not math.isfinite(value):
        return "missing"
    if isinstance(value, (bytes, bytearray)):
        return "bytes"
    if isinstance(value, (list, tuple)):
        return "spans" if value and all(_is_span(item) for item in value) else "list"
    if isinstance(value, (str, bool)):
        return "number" if isinstance(value, str) and _is_number(value) else "text"
    return "number" if isinstance(value, (int, float)) else "other"


def _is_number(text: str) -> bool:
    """Plain decimal notation; `nan`, `1_000` and `infinity` are words here."""
    bare = text.strip().lstrip("+-").replace(".", "", 1)
    if not bare.isascii() or not bare[:1].isdigit():
        return False
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _is_span(item: Any) -> bool:
    return isinstance(item, dict) and {"start", "end"} <= item.keys()


def read_facts(source: Source) -> TableFacts:
    """Read the rows, up to a number and a time, and count."""
    columns = {name: ColumnFacts(name) for name in source.columns()}
    table, started = TableFacts(list(columns.values())), time.monotonic()
    for row in source.rows():
        if table.rows >= MAX_ROWS or time.monotonic() - started > MAX_SECONDS:
            table.whole = False
            break
        if not isinstance(row, RawRow):
            table.broken += 1
            continue
        table.rows += 1
        for name, column in columns.items():
            column.add(row.values.get(name))
    return table
