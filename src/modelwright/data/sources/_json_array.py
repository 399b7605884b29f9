"""One JSON document that holds an array of objects, element by element in bounded memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from modelwright.data.sources import _lines
from modelwright.data.sources._files import Input
from modelwright.errors import UserError

Element = tuple[int, str, Any]
"""First line, text, and value (or the exception that parsing gave)."""

_KEYS = ("data", "rows", "examples", "items", "records", "instances")
_LONGEST = 16 << 20
_SPACE = re.compile(r"[ \t\r\n\ufeff]*")
_NEXT = re.compile(r"\n\s*(?=\{)")


def is_document(opening: Sequence[str], key: str | None) -> bool:
    """Whether a file's first lines begin one document rather than a series of objects."""
    if key is not None:
        return True
    first = next(line for line in opening if line.strip())
    if first.lstrip("\ufeff \t").startswith("["):
        return True
    try:
        value = json.loads(first.lstrip("\ufeff"), strict=False)
    except ValueError:
        more = [line for line in opening if line.strip()][1:4]
        return (
            first.strip("\ufeff \t\r\n") == "{"
            or not any(line.startswith("{") for line in [first, *more])
            or (not more and _holds_array(first))
        )
    return isinstance(value, dict) and any(isinstance(value.get(name), list) for name in _KEYS[:1])


def _holds_array(text: str) -> bool:
    return re.match(r'\s*\{\s*"(' + "|".join(_KEYS) + r')"\s*:\s*\[', text) is not None


def elements(item: Input, encoding: str, key: str | None) -> Iterator[Element]:
    """The elements of the file's array.

    Raises:
        UserError: MW-201 when there is no array, or when it ends before its bracket.
    """
    text = _Text(item, encoding)
    text.skip()
    if text.peek() == "{":
        _enter_key(text, key, item.name)
    if text.peek() != "[":
        raise _no_array(item.name, key)
    text.advance(1)
    while True:
        text.skip()
        if text.peek() == ",":
            text.advance(1)
            text.skip()
        if text.peek() == "]":
            return
        if not text.peek():
            raise _cut_short(item.name, text.line)
        yield text.element()


def _enter_key(text: _Text, key: str | None, name: str) -> None:
    """Move to the array under the key, past the values before it."""
    text.advance(1)
    while True:
        text.skip()
        if text.peek() != '"':
            raise _no_array(name, key)
        _, _, found = text.element()
        text.skip()
        if isinstance(found, Exception) or text.peek() != ":":
            raise _no_array(name, key)
        text.advance(1)
        text.skip()
        if text.peek() == "[" and (found == key if key else found in _KEYS):
            return
        _, _, skipped = text.element()
        text.skip()
        if isinstance(skipped, Exception) or text.peek() != ",":
            raise _no_array(name, key)
        text.advance(1)


def _no_array(name: str, key: str | None) -> UserError:
    wanted = f"under the key `{key}`" if key else "at the top or under " + ", ".join(_KEYS)
    return UserError(
        "MW-201",
        "the file is one JSON document without an array of rows",
        expected=f"an array of objects {wanted}, or one object a line",
        fix="name its key with data.options.key, or write one object a line (.jsonl)",
        file=name,
    )


def _cut_short(name: str, line: int) -> UserError:
    return UserError(
        "MW-201",
        "the file ends inside its array",
        expected="a whole JSON document",
        fix="copy or download it again",
        file=name,
        line=line,
    )


class _Text:
    """The file's text through a window that moves forward, with the line at its start."""

    def __init__(self, item: Input, encoding: str) -> None:
        self.line = 1
        self._blocks = _lines.blocks(item, encoding)
        self._window, self._at = "", 0
        self._decoder = json.JSONDecoder(strict=False)

    def peek(self) -> str:
        """The next character, or "" at the end."""
        while self._at >= len(self._window) and self._more():
            pass
        return self._window[self._at : self._at + 1]

    def advance(self, count: int) -> None:
        self.line += self._window.count("\n", self._at, self._at + count)
        self._at += count

    def skip(self) -> None:
        """Move past white space."""
        while self.peek():
            found = _SPACE.match(self._window, self._at)
            if found is None or found.end() == self._at:
                return
            self.advance(found.end() - self._at)

    def element(self) -> Element:
        """Parse one value; one that can't be parsed reaches to the next line that opens one."""
        step = 1
        while True:
            try:
                value, end = self._decoder.raw_decode(self._window, self._at)
                if end < len(self._window) or not self._more():
                    return self._take(end, value)
            except (ValueError, RecursionError) as error:
                grown = len(self._window) - self._at < _LONGEST
                if not (grown and any([self._more() for _ in range(step)])):
                    return self._take(self._resume(), error)
            step *= 2

    def _resume(self) -> int:
        found = _NEXT.search(self._window, self._at + 1)
        if found:
            return found.end()
        tail = re.search(r"\s*\]\s*\}?\s*$", self._window[self._at + 1 :])
        return self._at + 1 + tail.start() if tail else len(self._window)

    def _take(self, end: int, value: Any) -> Element:
        line, text = self.line, self._window[self._at : end]
        self.advance(end - self._at)
        return line, text, value

    def _more(self) -> bool:
        block = next(self._blocks, None)
        if block is None:
            return False
        self._window, self._at = self._window[self._at :] + "".join(block.lines), 0
        return True
