"""Checks one input against the bundle's JSON Schema and says which field is wrong.

The service and offline prediction both ask here, so that what one refuses the other does too. The
subset of JSON Schema 2020-12 is what tasks write; a keyword outside it stops the bundle from being
opened rather than being ignored. Checking 1,000 short texts takes about 2 ms, which is why this is
not a general library.

    Checker(manifest["input"]).fault(value, "inputs[3]")  ->  None | Fault("inputs[3].text", "...")
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelwright.errors import UserError

if TYPE_CHECKING:
    from modelwright.tasks import Task

_NOTES = frozenset(
    ("$schema", "$id", "$comment", "title", "description", "default", "examples", "format",
     "deprecated", "readOnly", "writeOnly", "contentEncoding", "contentMediaType")
)  # fmt: skip
_ASSERTIONS = frozenset(
    ("type", "enum", "const", "properties", "required", "additionalProperties", "items", "minItems",
     "maxItems", "minLength", "maxLength", "pattern", "minimum", "maximum", "anyOf")
)  # fmt: skip
_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}
_WORDS = {
    "string": "a string",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong and where; `field` reads like `inputs[3].text`."""

    field: str
    message: str


Rule = Callable[[Any, str], Fault | None]


class Checker:
    """A compiled schema.

    Raises:
        UserError: MW-601 when the schema uses a keyword that isn't supported.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema
        self._rule = _compile(schema)

    def fault(self, value: Any, field: str = "") -> Fault | None:
        """The first thing wrong with `value`, or None."""
        return self._rule(value, field)


class InputCheck:
    """A bundle's input schema, and what its task knows beyond it."""

    def __init__(self, schema: Mapping[str, Any], task: Task) -> None:
        self._schema, self._task = Checker(schema), task

    def fault(self, item: Any, field: str = "") -> Fault | None:
        """Why the model must not see an input, or None; `field` is what the input is called."""
        if (found := self._schema.fault(item, field)) is not None:
            return found
        if (told := self._task.input_fault(item)) is None:
            return None
        return Fault(f"{field}.{told[0]}".removeprefix("."), told[1])


def kind_of(value: Any) -> str:
    """The JSON type in words: `a string`, `a list`, ..."""
    for name in ("null", "boolean", "string", "number", "object", "array"):
        if _is(value, name):
            return _WORDS[name]
    return type(value).__name__


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _PYTHON[name])


def _compile(schema: Mapping[str, Any]) -> Rule:
    unknown = {key for key in schema if not key.startswith("x-")} - _NOTES - _ASSERTIONS
    if unknown:
        raise UserError(
            "MW-601",
            f"the bundle's JSON Schema uses {', '.join(sorted(unknown))}",
            expected="only " + ", ".join(sorted(_ASSERTIONS)),
            fix="change the task's input_schema",
        )
    makers = (_types, _values, _text, _numbers, _items, _members, _any_of)
    rules = [rule for make in makers if (rule := make(schema)) is not None]
    if len(rules) == 1:
        return rules[0]

    def every(value: Any, field: str) -> Fault | None:
        for rule in rules:
            if (fault := rule(value, field)) is not None:
                return fault
        return None

    return every


def _types(schema: Mapping[str, Any]) -> Rule | None:
    if "type" not in schema:
        return None
    kinds = [schema["type"]] if isinstance(schema["type"], str) else list(schema["type"])
    words = " or ".join(_WORDS[kind] for kind in kinds)

    def rule(value: Any, field: str) -> Fault | None:
        if any(_is(value, kind) for kind in kinds):
            return None
        return Fault(field, f"expected {words}, got {kind_of(value)}")

    return rule


def _values(schema: Mapping[str, Any]) -> Rule | None:
    if "enum" not in schema and "const" not in schema:
        return None
    allowed = list(schema.get("enum", [schema.get("const")]))
    shown = ", ".join(map(repr, allowed[:8])) + (", ..." if len(allowed) > 8 else "")

    def rule(value: Any, field: str) -> Fault | None:
        same = any(
            value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed
        )
        return None if same else Fault(field, f"expected one of {shown}")

    return rule


def _text(schema: Mapping[str, Any]) -> Rule | None:
    least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
    pattern = re.compile(schema["pattern"]) if "pattern" in schema else None
    if not least and most == math.inf and pattern is None:
        return None

    def rule(value: Any, field: str) -> Fault | None:
        if not isinstance(value, str):
            return None
        if len(value) < least:
            seen = "it is empty" if not value else f"it has {len(value)}"
            return Fault(field, f"expected at least {least} character(s), {seen}")
        if len(value) > most:
            return Fault(field, f"expected at most {most:,} characters, it has {len(value):,}")
        if pattern is not None and not pattern.search(value):
            return Fault(field, f"does not match the pattern {pattern.pattern}")
        return None

    return rule


def _numbers(schema: Mapping[str, Any]) -> Rule | None:
    if "minimum" not in schema and "maximum" not in schema:
        return None
    least, most = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)

    def rule(value: Any, field: str) -> Fault | None:
        if not _is(value, "number") or least <= value <= most:
            return None
        return Fault(field, f"expected a number from {least} to {most}, got {value}")

    return rule


def _items(schema: Mapping[str, Any]) -> Rule | None:
    if not {"items", "minItems", "maxItems"} & schema.keys():
        return None
    least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    item = _compile(schema.get("items", {}))

    def rule(value: Any, field: str) -> Fault | None:
        if not isinstance(value, list):
            return None
        if not least <= len(value) <= most:
            return Fault(field, f"expected from {least} to {most} items, got {len(value)}")
        for index, one in enumerate(value):
            if (fault := item(one, f"{field}[{index}]")) is not None:
                return fault
        return None

    return rule


def _members(schema: Mapping[str, Any]) -> Rule | None:
    if not {"properties", "required", "additionalProperties"} & schema.keys():
        return None
    known = {name: _compile(part) for name, part in schema.get("properties", {}).items()}
    required = list(schema.get("required", []))
    extra = schema.get("additionalProperties", True)
    other = _compile(extra) if isinstance(extra, dict) else None

    def rule(value: Any, field: str) -> Fault | None:
        if not isinstance(value, dict):
            return None
        for name in required:
            if name not in value:
                return Fault(_join(field, name), "is required and missing")
        for name, part in value.items():
            check = known.get(name, other)
            if check is None and extra is False:
                names = ", ".join(known) or "none"
                return Fault(_join(field, name), f"is not a known field; known: {names}")
            if check and (fault := check(part, _join(field, name))) is not None:
                return fault
        return None

    return rule


def _any_of(schema: Mapping[str, Any]) -> Rule | None:
    if "anyOf" not in schema:
        return None
    branches = [(part, _compile(part)) for part in schema["anyOf"]]
    kinds = [part["type"] for part, _ in branches if isinstance(part.get("type"), str)]
    words = " or ".join(dict.fromkeys(_WORDS[kind] for kind in kinds)) or "another shape"

    def rule(value: Any, field: str) -> Fault | None:
        faults: list[Fault] = []
        for part, check in branches:
            if (fault := check(value, field)) is None:
                return None
            kind = part.get("type")
            if not isinstance(kind, str) or _is(value, kind):
                faults.append(fault)
        return faults[0] if faults else Fault(field, f"expected {words}, got {kind_of(value)}")

    return rule


def _join(field: str, name: str) -> str:
    """`a.b`; long or strange names (they are the caller's) are shortened."""
    shown = name if len(name) <= 64 else name[:61] + "..."
    return f"{field}.{shown}" if field else shown
