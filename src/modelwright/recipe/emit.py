"""Plain values as YAML 1.2 on one line, so that reading them back gives the same value."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from modelwright.recipe.parse import scalar

_PLAIN = re.compile(
    r"[^\s\-?:,\[\]{}#&*!|>'\"%@`\x00-\x1f\x7f-\x9f][^\[\]{},#:\x00-\x1f\x7f-\x9f\ufeff]*"
)
_LONE = re.compile("[\ud800-\udfff\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def inline(value: Any) -> str:
    """One line of YAML; maps and lists in flow style."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{text(str(k))}: {inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(inline(item) for item in value) + "]"
    if isinstance(value, str):
        return text(value)
    return _number(value)


def text(value: str) -> str:
    """A string, in quotes only where it needs them."""
    plain = _PLAIN.fullmatch(value) and not value[-1].isspace()
    if plain and not _LONE.search(value) and isinstance(scalar(value), str):
        return value
    if value.isprintable() and not _LONE.search(value):
        return "'" + value.replace("'", "''") + "'"
    escaped = json.dumps(value, ensure_ascii=False)
    return _LONE.sub(lambda match: f"\\u{ord(match[0]):04x}", escaped)


def _number(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    return str(value)


def _float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    shortest = repr(value)
    mantissa, e, exponent = shortest.partition("e")
    if e and "." not in mantissa:
        mantissa += ".0"  # YAML 1.1 readers take 1e-4 for text
    return mantissa + e + exponent


def shown(value: Any, width: int = 60) -> str:
    """A value for a message: one line, cut."""
    line = inline(value)
    return line if len(line) <= width else line[: width - 1] + "…"
