"""A text file as blocks of physical lines: decoded on the way, numbered, of bounded memory.

A line ends in LF, CRLF or a lone CR. An undecodable byte does not stop anything: it is marked in
its line, and whoever turns lines into rows sets that row aside (`problem`).
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from modelwright.data.sources._encoding import MARK
from modelwright.data.sources._files import Input

LONGEST_LINE = 16 << 20
"""Characters a physical line may have; what is longer is given up and skipped."""

TOO_LONG = "\udcff"
"""The text of a line that was given up for its length."""

_CHUNK = 1 << 18
_END = re.compile(r"\r\n|\n|\r(?!\Z)")


@dataclass(slots=True)
class Block:
    """Consecutive lines, their ends kept.

    Attributes:
        first: number of the first line, from 1.
        lines: the text of each, with its line end.
        doubtful: whether some line holds an undecodable byte, a NUL, or was too long.
    """

    first: int
    lines: list[str]
    doubtful: bool


def blocks(item: Input, encoding: str) -> Iterator[Block]:
    """Every line of a file, decoded with `encoding`."""
    first = 1
    for text in _texts(item, encoding):
        lines = list(io.StringIO(text, newline=""))
        yield Block(first, lines, MARK in text or "\0" in text or TOO_LONG in text)
        first += len(lines)


def _texts(item: Input, encoding: str) -> Iterator[str]:
    """Pieces of text that end where a line ends."""
    decoder = codecs.getincrementaldecoder(encoding)("modelwright-mark")
    rest, skipping = "", False
    with item.open() as file:
        while chunk := file.read(_CHUNK):
            text = rest + decoder.decode(chunk)
            if skipping:
                start = _first_end(text)
                skipping = not start
                text = f"{TOO_LONG}\n{text[start:]}" if start else "\r" * text.endswith("\r")
            cut = _last_end(text)
            if cut:
                yield text[:cut]
            rest = text[cut:]
            if len(rest) > LONGEST_LINE:
                rest, skipping = "\r" * rest.endswith("\r"), True
        rest += decoder.decode(b"", final=True)
    if skipping:
        rest = TOO_LONG
    if rest:
        yield rest


def _last_end(text: str) -> int:
    """Where the last whole line stops; a CR at the very end may belong to a CRLF."""
    at = text.rfind("\n")
    lone = text.rfind("\r", at + 1, len(text) - 1)
    return max(at, lone) + 1


def _first_end(text: str) -> int:
    found = _END.search(text)
    return found.end() if found else 0


def problem(text: str) -> tuple[str, str] | None:
    """The ledger's reason and detail for a text that was not read whole, or None."""
    if TOO_LONG in text:
        return "line-too-long", f"more than {LONGEST_LINE:,} characters without a line end"
    if MARK in text:
        seen = text.strip().replace(MARK, "\ufffd")
        return "undecodable", f"{text.count(MARK)} undecodable bytes in: {seen[:80]}"
    return None


def is_blank(line: str) -> bool:
    """Whether a line holds nothing but spaces and tabs."""
    return not line.strip(" \t\r\n")


def opening_text(item: Input, encoding: str, lines: int = 1000, size: int = 1 << 20) -> list[str]:
    """The first lines, to look at."""
    found: list[str] = []
    seen = 0
    for block in blocks(item, encoding):
        for line in block.lines:
            found.append(line)
            seen += len(line)
            if len(found) >= lines or seen >= size:
                return found
    return found
