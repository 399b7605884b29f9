"""Plain data to YAML that people read, and that every YAML parser, old or new, reads alike.

Strings stand without quotes only where no parser takes them for anything else; everything else is
quoted, so that nothing a bundle is called can become structure. Comments are one-line and printable.

    text({"replicas": Noted(3, "2.1 x 1.2, rounded up")}, "A head\\nof two lines")
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*|/[A-Za-z0-9_./-]+")
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "inf", "nan"])
"""What YAML 1.1 or 1.2 takes for a boolean, a number or nothing."""
_WIDTH = 100


@final
@dataclass(frozen=True)
class Noted:
    """A value with a comment above it, a line of text for each line of comment."""

    value: Any
    comment: str


def text(value: Any, head: str = "") -> str:
    """One document.

    Args:
        value: of mappings, sequences, strings, numbers, booleans and None.
        head: comment at the top.
    """
    return "".join(f"{line}\n" for line in (*_comment(head, ""), *_block(value, "")))


def texts(documents: Sequence[Any], head: str = "") -> str:
    """Several documents of one file."""
    return "---\n".join(
        text(document, "" if number else head) for number, document in enumerate(documents)
    )


def one_line(value: str) -> str:
    """Text for a comment: what cannot be printed, line ends among it, becomes `?`."""
    return "".join(character if character.isprintable() else "?" for character in value)


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in text.split("\n") if text else ():
        yield f"{indent}# {one_line(line)}".rstrip()


def _block(value: Any, indent: str) -> Iterator[str]:
    """Lines of a value that begins on a line of its own."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            inner, lines = _unwrapped(inner, indent)
            yield from lines
            yield from _entry(f"{indent}{_scalar(str(key))}:", inner, indent)
    elif isinstance(value, (list, tuple)) and value:
        for inner in value:
            inner, lines = _unwrapped(inner, indent)
            yield from lines
            yield from _item(inner, indent)
    else:
        yield indent + _flow(value)


def _unwrapped(value: Any, indent: str) -> tuple[Any, Iterator[str]]:
    if isinstance(value, Noted):
        return value.value, _comment(value.comment, indent)
    return value, iter(())


def _entry(key: str, value: Any, indent: str) -> Iterator[str]:
    """`key: value`, or the key and the value below it."""
    if isinstance(value, Mapping) and value:
        yield key
        yield from _block(value, indent + "  ")
    elif isinstance(value, (list, tuple)) and value:
        if _short(value) and len(key) + len(_flow(value)) < _WIDTH:
            yield f"{key} {_flow(value)}"
        else:
            yield key
            yield from _block(value, indent + "  ")
    elif isinstance(value, str) and _is_literal(value):
        yield f"{key} |{'' if value.endswith(chr(10)) else '-'}"
        for line in value.removesuffix("\n").split("\n"):
            yield f"{indent}  {line}".rstrip() if not line else f"{indent}  {line}"
    else:
        yield f"{key} {_flow(value)}"


def _item(value: Any, indent: str) -> Iterator[str]:
    """`- value`, the first line of a mapping beside the dash."""
    if isinstance(value, (Mapping, list, tuple)) and value and not _short(value):
        lines = list(_block(value, indent + "  "))
        first = next(place for place, line in enumerate(lines) if not line.lstrip().startswith("#"))
        yield from (line[2:] for line in lines[:first])
        yield f"{indent}- {lines[first].lstrip()}"
        yield from lines[first + 1 :]
    else:
        yield f"{indent}- {_flow(value)}"


def _short(value: Any) -> bool:
    """Whether a list is one of a few simple values, read better on one line."""
    return isinstance(value, (list, tuple)) and all(
        isinstance(one, (str, int, float, bool, type(None)))
        and not (isinstance(one, str) and len(one) > 40)
        for one in value
    )


def _is_literal(value: str) -> bool:
    """Whether a text of several lines can stand as it is: printable, no line of blanks, no blank
    at either end of a line that a parser may lose."""
    lines = value.removesuffix("\n").split("\n")
    if len(lines) < 2 or not lines[0] or not lines[-1]:
        return False
    return not lines[0][:1].isspace() and all(
        line.isprintable() and line == line.rstrip() for line in lines
    )


def _flow(value: Any) -> str:
    if isinstance(value, Noted):
        return _flow(value.value)
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_scalar(str(key))}: {_flow(one)}" for key, one in value.items())
        return f"{{{inner}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_flow, value))}]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(value)
        return repr(value) if "e" not in repr(value) else f"{value:.12f}"
    if not isinstance(value, str):
        raise TypeError(f"no YAML for {type(value).__name__}")
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return quoted(value)


def quoted(value: str) -> str:
    """A quoted string of YAML 1.1 and 1.2; JSON where all is printable and no quote is inside."""
    if value.isprintable() and ('"' in value or "\\" in value) and "'" not in value:
        return f"'{value}'"
    return '"' + "".join(map(_escaped, value)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    if character in "\n\t\r":
        return json.dumps(character)[1:-1]
    code = ord(character)
    if 0xD800 <= code < 0xE000:
        return "\\uFFFD"  # half of a character is none
    return (
        f"\\x{code:02X}" if code < 256 else f"\\u{code:04X}" if code < 65536 else f"\\U{code:08X}"
    )
