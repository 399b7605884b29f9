"""The edit that mends a wrong value, in words: `write 3 without quotes`."""

from __future__ import annotations

import math
import re
from typing import Any

from modelwright.errors import nearest
from modelwright.recipe import expect
from modelwright.recipe.emit import inline
from modelwright.recipe.parse import scalar
from modelwright.recipe.schema import NAME_PATTERN, Data

_TRUE, _FALSE = ("yes", "on", "y", "true", "1"), ("no", "off", "n", "false", "0")
_BOOLEAN_WORDS = {**dict.fromkeys(_TRUE, "true"), **dict.fromkeys(_FALSE, "false")}


def mend(found: list[expect.Choice], value: Any) -> str:
    """What to write instead of `value` where one of `found` is expected."""
    listed = [str(allowed) for choice in found for allowed in choice.values]
    if value is None:
        return _empty(found)
    if listed and isinstance(value, (str, int, float)):
        close = nearest(str(value).lower(), listed)
        return f"did you mean `{close}`?" if close else f"write `{listed[0]}`"
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return _other(found, value)
    return _text(found, value) if isinstance(value, str) else _number(found, value)


def kind_of(value: Any) -> str:
    """A value's type in plain words."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true or false"
    words = {
        int: "a whole number",
        float: "a number with decimals",
        str: "text",
        list: "a list",
        dict: "a section",
    }
    return words.get(type(value), "of another type")


def _empty(found: list[expect.Choice]) -> str:
    if any(choice.is_section for choice in found):
        return "indent its keys below it, or delete the line for the defaults"
    if any(choice.is_list for choice in found):
        return "write [] for none, or delete the line for the default"
    return "write a value, or delete the line for the default"


def _text(found: list[expect.Choice], value: str) -> str:
    types = {choice.type for choice in found}
    if types & {int, float} and (number := _as_number(value)) is not None:
        return f"write {inline(number)}" + (" without quotes" if inline(number) == value else "")
    if bool in types and value.lower() in _BOOLEAN_WORDS:
        return f"write {_BOOLEAN_WORDS[value.lower()]}"
    if any(choice.limit("pattern") == NAME_PATTERN for choice in found):
        slug = re.sub(r"[^A-Za-z0-9]+", "-", value).strip("-")[:64].rstrip("-")
        return f"write `{slug or 'my-run'}`"
    if any(choice.is_list for choice in found):
        items = [item.strip() for item in value.split(",") if item.strip()]
        return f"write {inline(items)}"
    return _other(found, value)


def _as_number(value: str) -> int | float | None:
    """The number that a text means: `3`, `1,000`, `10%`, `1_000`."""
    text = value.strip().replace(",", "").replace("_", "")
    share = text.endswith("%")
    number = scalar(text.removesuffix("%").strip())
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return None
    return number / 100 if share else number


def _number(found: list[expect.Choice], value: float) -> str:
    types = {choice.type for choice in found}
    if not types & {int, float}:
        return _other(found, value)
    if not math.isfinite(value):
        return "write a finite number"
    if isinstance(value, float) and float not in types:
        if not value.is_integer():
            return f"write a whole number, such as {max(1, round(value))}"
        return expect.nearest_allowed(found, int(value)) or f"write {int(value)}"
    return expect.nearest_allowed(found, value) or "write a finite number"


def _other(found: list[expect.Choice], value: Any) -> str:
    """A value of another shape: a list for a section, one value for a list, a number for text."""
    types = {choice.type for choice in found}
    single = isinstance(value, (str, bool, int, float))
    if bool in types and single and value in (0, 1):
        return f"write {inline(bool(value))}"
    if any(choice.is_list for choice in found):
        if value == []:
            return "write at least one item, or delete the line"
        return f"write [{inline(value)}]" if single else "put a dash before each item"
    if str in types and single and not isinstance(value, str):
        return f"put it in quotes: '{inline(value)}'"
    if any(choice.is_section for choice in found):
        return _section(found, value)
    return "write " + expect.sentence(found)


def _section(found: list[expect.Choice], value: Any) -> str:
    if isinstance(value, list):
        return "take the dashes away: this is a section of keys"
    if any(choice.type is Data for choice in found) and isinstance(value, str):
        return f"write {{source: {inline(value)}}}"
    return "put keys below it, indented"
