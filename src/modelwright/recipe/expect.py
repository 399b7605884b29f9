"""What the schema expects at a path, in a plain sentence.

Every message about a wrong value is made from the annotation of the field, not from the
validator's own words, so that no message speaks of validators.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from modelwright.recipe.places import Path
from modelwright.recipe.schema import NAME_PATTERN, Part

_LISTS = (list, tuple, set, frozenset)
_SPECIAL_PATTERNS = {
    NAME_PATTERN: "letters, digits and -, first a letter or digit, at most 64 characters",
}


@dataclass(frozen=True)
class Choice:
    """One type that a value may have, with its constraints."""

    type: Any
    constraints: tuple[Any, ...] = ()

    @property
    def origin(self) -> Any:
        return get_origin(self.type)

    @property
    def values(self) -> tuple[Any, ...]:
        """The allowed values, where they are listed."""
        if self.origin is Literal:
            return get_args(self.type)
        if isinstance(self.type, type) and issubclass(self.type, enum.Enum):
            return tuple(member.value for member in self.type)
        return ()

    @property
    def is_model(self) -> bool:
        return isinstance(self.type, type) and issubclass(self.type, BaseModel)

    @property
    def is_list(self) -> bool:
        return self.origin in _LISTS or self.type in _LISTS

    @property
    def is_section(self) -> bool:
        return self.is_model or self.origin is dict or self.type is dict

    def limit(self, name: str) -> Any:
        """A constraint's value (`ge`, `gt`, `le`, `lt`, `min_length`, `pattern`), or None."""
        for constraint in self.constraints:
            if (value := getattr(constraint, name, None)) is not None:
                return value
        return None


def choices(annotation: Any, constraints: tuple[Any, ...] = ()) -> list[Choice]:
    """The types that an annotation allows, without None."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *extra = get_args(annotation)
        return choices(inner, (*constraints, *_flat(extra)))
    if origin in (Union, types.UnionType):
        found = [choices(arm, constraints) for arm in get_args(annotation)]
        return [choice for arm in found for choice in arm]
    if annotation in (None, type(None)):
        return []
    return [Choice(annotation, constraints)]


def _flat(extra: list[Any]) -> Iterator[Any]:
    for item in extra:
        if isinstance(item, FieldInfo):
            yield from item.metadata
        else:
            yield item


def at(model: type[BaseModel], path: Path) -> list[Choice] | None:
    """What may stand at a path, or None where the schema has no such key.

    A part is a leaf: its options are the part's own affair.
    """
    here = [Choice(model)]
    for step in path:
        below = [found for choice in here for found in _step(choice, step)]
        if not below:
            return None
        here = below
    return here


def _step(choice: Choice, step: str | int) -> list[Choice]:
    if choice.is_model and isinstance(step, str) and choice.type is not Part:
        info = choice.type.model_fields.get(step)
        return choices(info.annotation, tuple(info.metadata)) if info else []
    arguments = get_args(choice.type)
    if choice.is_list and isinstance(step, int) and arguments:
        return choices(arguments[0])
    if choice.origin is dict and isinstance(step, str):
        return choices(arguments[1])
    if choice.type is Any or choice.type in (dict, list):
        return [Choice(Any)]
    return []


def sentence(found: list[Choice]) -> str:
    """`a whole number of at least 1`, `one of quick, standard, thorough`, ..."""
    words = [_words(choice) for choice in found]
    return " or ".join(dict.fromkeys(words)) or "nothing"


def _words(choice: Choice) -> str:
    kind = choice.type
    if choice.values:
        return "one of " + ", ".join(str(value) for value in choice.values)
    if kind is not Part and choice.is_model:
        return "a section with the keys " + ", ".join(kind.model_fields)
    if choice.is_list:
        arguments = get_args(kind)
        return "a list, each item " + sentence(choices(arguments[0])) if arguments else "a list"
    if choice.origin is dict:
        return "a section, each value " + sentence(choices(get_args(kind)[1]))
    known = {
        bool: "true or false",
        int: "a whole number" + _range(choice),
        float: "a number" + _range(choice),
        Part: "a name, or {name: {option: value}}",
        dict: "a section",
        Any: "any value",
    }
    return known.get(kind) or _text(choice)


def _text(choice: Choice) -> str:
    pattern = choice.limit("pattern")
    if pattern is not None:
        pattern = getattr(pattern, "pattern", pattern)
        return _SPECIAL_PATTERNS.get(pattern, f"text of the form {pattern}")
    if longest := choice.limit("max_length"):
        return f"text of at most {longest} characters"
    return "text that is not empty" if choice.limit("min_length") else "text"


def _range(choice: Choice) -> str:
    low, above = choice.limit("ge"), choice.limit("gt")
    high, below = choice.limit("le"), choice.limit("lt")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    start = (
        f"of at least {low}" if low is not None else f"above {above}" if above is not None else ""
    )
    end = f"at most {high}" if high is not None else f"below {below}" if below is not None else ""
    joined = " and ".join(part for part in (start, end) if part)
    return f" {joined}" if joined else ""


def nearest_allowed(found: list[Choice], value: Any) -> str:
    """What to write instead of a number that lies outside its range."""
    for choice in found:
        if choice.type not in (int, float):
            continue
        low, high = choice.limit("ge"), choice.limit("le")
        above, below = choice.limit("gt"), choice.limit("lt")
        if low is not None and value < low:
            return f"write {low} or more"
        if high is not None and value > high:
            return f"write {high} or less"
        if above is not None and value <= above:
            return f"write a number above {above}"
        if below is not None and value >= below:
            return f"write a number below {below}"
    return ""
