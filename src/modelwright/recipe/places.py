"""Where every value of a recipe stands, by its path.

A path is a tuple of keys and indices, `("data", "clean", 1, "near-duplicates", "threshold")`; in
text it is `data.clean[1].near-duplicates.threshold`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

Path = tuple[str | int, ...]

SET = "--set"
"""The file name of values that came from the command line."""

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]|(\.)")


@dataclass(frozen=True)
class Place:
    """A file with line and column (from 1), or `--set` without them."""

    file: str
    line: int | None = None
    column: int | None = None

    @property
    def origin(self) -> str:
        """`recipe.yaml:12` or `--set`, as the resolved recipe's comments have it."""
        return SET if self.file == SET else f"{PurePath(self.file).name}:{self.line}"


@dataclass
class Places:
    """The place of every value that the user wrote, and the text before `${VAR}` was filled in.

    Attributes:
        file: the recipe as the user named it.
        of: place by path.
        raw: by path the string as written, where an environment variable was filled in. It is what
            is shown and stored, because variables carry secrets.
        variables: the environment variables that were filled in, with their values.
    """

    file: str
    of: dict[Path, Place] = field(default_factory=dict)
    raw: dict[Path, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def hide(self, text: str) -> str:
        """A message with the names of variables in place of their values."""
        for name, value in sorted(self.variables.items(), key=lambda item: -len(item[1])):
            if len(value) > 2:
                text = text.replace(value, f"${{{name}}}")
        return text

    def at(self, path: Sequence[str | int]) -> Place:
        """The place of a value, or of the nearest section around it."""
        for length in range(len(path), -1, -1):
            if found := self.of.get(tuple(path[:length])):
                return found
        return Place(self.file, 1, 1)

    def written(self, path: Path) -> bool:
        """Whether the user wrote this very value (rather than a section around it)."""
        return path in self.of

    def forget(self, path: Path) -> None:
        """Drop a value and all below it, before it is replaced."""
        self.of = {p: place for p, place in self.of.items() if p[: len(path)] != path}
        self.raw = {p: text for p, text in self.raw.items() if p[: len(path)] != path}


def dotted(path: Sequence[str | int]) -> str:
    """A path as text."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def parsed(text: str) -> Path | None:
    """The path that a text names, or None when it is none."""
    steps: list[str | int] = []
    position, wants_key = 0, True
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            return None
        key, index, dot = match.groups()
        if dot is not None:
            if wants_key:
                return None
            wants_key = True
        elif key is not None:
            if not wants_key:
                return None
            steps.append(key.strip())
            wants_key = False
        else:
            if wants_key:
                return None
            steps.append(int(index))
        position = match.end()
    return None if wants_key or "" in steps else tuple(steps)
