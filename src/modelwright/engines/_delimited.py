"""Rows of csv and tsv where a stray quote costs its own line, never those after it.

Python's csv module reads, in its strict mode. Where it objects, or where a row of several lines
can't be one, the first line is given up and reading goes on with the next, as when training reads
(`runtime/quotes.py` has the rule).
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable
from typing import Any

from modelwright.runtime.quotes import UNBALANCED, is_swallowed, is_too_large, leniently

_MAX_FIELD = 8 << 20


class Records:
    """The rows of an opened file: `take` gives one after the other.

    Attributes:
        line: first physical line, from 1, of the row taken last.
    """

    def __init__(self, file: Iterable[str], delimiter: str) -> None:
        csv.field_size_limit(_MAX_FIELD)
        self._lines = _Lines(file)
        self._options: dict[str, Any] = {"delimiter": delimiter}
        self.line = 0

    def take(self, width: int | None = None) -> tuple[list[str] | None, str]:
        """Cells of the next row, None at the end, and why it can't be read, where it can't.

        Args:
            width: cells that a row should have, where known.
        """
        taken = self._lines.begin()
        self.line = self._lines.number + 1
        try:
            cells = next(csv.reader(self._lines, **self._options, strict=True), None)
        except csv.Error as error:
            if len(taken) == 1 and "unexpected end" not in str(error):
                return self._leniently(taken)
            return self._give_up()
        if cells and len(taken) > 1 and is_swallowed(taken, cells, width, self._options):
            return self._give_up()
        return cells, ""

    def _leniently(self, taken: list[str]) -> tuple[list[str], str]:
        """One line whose quotes break the rules but not the row: `"so" he said,label`."""
        try:
            return leniently(taken[0], self._options), ""
        except csv.Error as error:
            return [], str(error)

    def _give_up(self) -> tuple[list[str], str]:
        self._lines.give_back()
        return [], UNBALANCED


class _Lines:
    """Physical lines; those since `begin`, but the first, can be given back to be read again."""

    def __init__(self, file: Iterable[str]) -> None:
        self._file, self._ahead = iter(file), deque[str]()
        self._taken: list[str] = []
        self.number = 0

    def begin(self) -> list[str]:
        """Start a row; the list returned grows with its lines."""
        self._taken = []
        return self._taken

    def give_back(self) -> None:
        again = self._taken[1:]
        self._ahead.extendleft(reversed(again))
        self.number -= len(again)

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._ahead.popleft() if self._ahead else next(self._file)
        self.number += 1
        self._taken.append(line)
        if is_too_large(self._taken):
            raise csv.Error(UNBALANCED)
        return line
