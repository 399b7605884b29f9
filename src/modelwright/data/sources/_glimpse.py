"""One look at a location, from which every format says how sure it is: names and first bytes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from modelwright.data.sources import _encoding, _files, _sniffing
from modelwright.data.sources._records import NO_DELIMITER
from modelwright.errors import UserError

_HEAD = 64 << 10


@dataclass(frozen=True)
class Glimpse:
    """What lies at a location.

    Attributes:
        names: the files' names.
        one: whether it is a single file.
        head: its first bytes, decompressed (nothing for several files).
    """

    names: tuple[str, ...]
    one: bool
    head: bytes = b""

    def by_suffix(self, suffixes: tuple[str, ...]) -> float:
        """0.9 for a file with such an ending, less where only some of many have it."""
        if not self.names:
            return 0.0
        fitting = sum(_files.plain_suffix(name) in suffixes for name in self.names)
        return 0.9 * fitting / len(self.names)

    @property
    def unknown(self) -> bool:
        """Whether it is one file whose ending says nothing."""
        return self.one and _files.plain_suffix(self.names[0]) in ("", ".txt", ".data", ".dat")

    def lines(self) -> list[str]:
        """The first lines of a text file; none where it is no text."""
        if not self.head:
            return []
        encoding = _encoding.detect([self.head])
        text = self.head.decode(encoding, "modelwright-mark")
        odd = sum(
            char == _encoding.MARK or (char < " " and char not in "\t\r\n\f") for char in text
        )
        if odd * 20 > len(text):
            return []
        lines = text.splitlines(keepends=True)
        return lines if len(self.head) < _HEAD else lines[:-1]

    def is_table(self) -> bool:
        """Whether a file of unknown ending is delimited text with equal rows."""
        lines = self.lines()[:200] if self.unknown else []
        if len(lines) < 2:
            return False
        dialect = _sniffing.dialect_of(lines, delimiter=None, quoted=None)
        if dialect.delimiter == NO_DELIMITER:
            return False
        found = _sniffing.read(lines, dialect)
        width, share = _sniffing.usual_width(found)
        header = _sniffing.has_header(found[0][1], [cells for _, cells, _ in found[1:]])
        return width >= 2 and share > 0.95 and (header or dialect.delimiter == "\t")


def at(location: str) -> Glimpse:
    """Look at a location once, however many formats ask."""
    return _look(location)


def forget() -> None:
    """Look again next time."""
    _look.cache_clear()


@lru_cache(maxsize=1)
def _look(location: str) -> Glimpse:
    if location.startswith(("hf://", "sql://")):
        return Glimpse(names=(), one=False)
    inputs = _files.everything(location)
    names = tuple(item.name for item in inputs)
    if len(inputs) != 1:
        return Glimpse(names, one=False)
    try:
        return Glimpse(names, one=True, head=inputs[0].head(_HEAD))
    except UserError as error:
        if error.problem.code == "MW-207":
            raise
        return Glimpse(names, one=True)
