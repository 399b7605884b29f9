"""The complete recipe: every value on its line, with where it comes from in a comment.

Reading it back gives the same run. A value with `${VAR}` is written as the user wrote it, because
variables carry secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path as FilePath
from typing import Any

from modelwright import plugs
from modelwright.errors import UserError
from modelwright.recipe.derive import Derived, plain
from modelwright.recipe.emit import inline, text
from modelwright.recipe.files import moved
from modelwright.recipe.parts import AUTO
from modelwright.recipe.places import Path, Places, dotted
from modelwright.recipe.schema import Part, Recipe, Section

_KINDS: dict[Path, str] = {
    ("task",): "task",
    ("data", "clean"): "cleaner",
    ("data", "augment"): "augmenter",
    ("finetune", "method"): "method",
    ("compress", "passes"): "pass",
    ("evaluate", "suites"): "suite",
    ("package", "formats"): "format",
}
_MAX_COLUMN = 56


@dataclass(frozen=True)
class Leaf:
    """One value of the complete recipe.

    Attributes:
        path: where it stands.
        value: as a user would write it, `${VAR}` unfilled; None for a line that only opens a block.
        origin: `recipe.yaml:12`, `--set`, `default`, `derived: WHY`.
        about: what the key means.
        opens: whether keys or items follow below it.
    """

    path: Path
    value: Any
    origin: str
    about: str = ""
    opens: bool = False


class Origins:
    """Says where a value comes from, and how it is shown.

    Args:
        places: of the recipe file and `--set`.
        derived: what rules added.
        move: rewrites a relative path for another folder.
    """

    def __init__(
        self,
        places: Places,
        derived: Sequence[Derived],
        move: Callable[[Path, str], str] = lambda path, text: text,
    ) -> None:
        self.places = places
        self.derived = {item.path: item.why for item in derived}
        self.move = move

    def of(self, path: Path, field: Path) -> str:
        """The origin of a value that somebody gave, or of the list or map of `field` around it.

        `default` where nobody gave it.
        """
        for length in range(len(path), len(field) - 1, -1):
            here = path[:length]
            if (why := self.derived.get(dotted(here))) is not None:
                return "derived: " + " ".join(why.split())
            if self.places.written(here):
                return self.places.of[here].origin
        return "default"


def resolved_yaml(
    recipe: Recipe,
    places: Places,
    derived: Sequence[Derived],
    *,
    moved_from: FilePath | None = None,
    moved_to: FilePath | None = None,
) -> str:
    """The text of `recipe.resolved.yaml`.

    Args:
        recipe: complete, as `apply` gives it.
        places: of the recipe file and `--set`.
        derived: what `apply` was given.
        moved_from: the folder of the recipe file, and
        moved_to: the folder that the text will lie in, for relative paths to stay right.
    """
    origins = Origins(places, derived)
    if moved_from is not None and moved_to is not None:
        origins.move = partial(moved, folder=moved_from.resolve(), into=moved_to.resolve())
    rows = [(_line(leaf), leaf.origin) for leaf in _section(recipe, (), origins)]
    longest = max((len(line) for line, origin in rows if origin), default=0)
    column = min(longest, _MAX_COLUMN)
    body = [f"{line:<{column}}  # {origin}" if origin else line for line, origin in rows]
    head = "# The recipe with every value. Origins: FILE:LINE, --set, default, derived: why."
    return "\n".join([head, *body]) + "\n"


def leaves(recipe: Recipe, places: Places, derived: Sequence[Derived]) -> Iterator[Leaf]:
    """Every value with its origin, in the schema's order."""
    yield from _section(recipe, (), Origins(places, derived))


def _section(section: Section, path: Path, origins: Origins) -> Iterator[Leaf]:
    for name, info in type(section).model_fields.items():
        here, value, about = (*path, name), getattr(section, name), info.description or ""
        if isinstance(value, Section) and not isinstance(value, Part):
            yield Leaf(here, None, "", about, opens=True)
            yield from _section(value, here, origins)
        elif isinstance(value, Part):
            yield from _part(value, here, _KINDS[here], origins, about)
        elif isinstance(value, list) and value and isinstance(value[0], Part):
            yield Leaf(here, None, origins.of(here, here), about, opens=True)
            for index, part in enumerate(value):
                yield from _part(part, (*here, index), _KINDS[here], origins, "")
        elif isinstance(value, dict) and (entries := _entries(section, name, value)):
            yield Leaf(here, None, "", about, opens=True)
            for key, item in entries.items():
                origin = origins.of((*here, key), here) if key in value else "default"
                yield Leaf((*here, key), _shown(origins, (*here, key), item), origin)
        else:
            shown = _shown(origins, here, plain(value))
            yield Leaf(here, shown, origins.of(here, here), about)


def _entries(section: Section, name: str, value: dict[str, Any]) -> dict[str, Any]:
    """The keys of a dictionary; a source's options with their defaults."""
    kind = getattr(section, "format", AUTO)
    if name != "options" or kind == AUTO:
        return value
    return _with_defaults("source", Part(name=kind, options=value))


def _part(part: Part, path: Path, kind: str, origins: Origins, about: str) -> Iterator[Leaf]:
    options = _with_defaults(kind, part)
    field = path[:-1] if isinstance(path[-1], int) else path
    if not options:
        yield Leaf(path, part.name, origins.of(path, field), about)
        return
    if not isinstance(path[-1], int):
        yield Leaf(path, None, "", about, opens=True)
    name = (*path, part.name)
    yield Leaf(name, None, origins.of(path, field), opens=True)
    for key, value in options.items():
        origin = _option_origin(part, path, key, origins)
        yield Leaf((*name, key), _shown(origins, (*name, key), value), origin)


def _option_origin(part: Part, path: Path, key: str, origins: Origins) -> str:
    if key not in part.options:
        return "default"
    field = path[:-1] if isinstance(path[-1], int) else path
    long_form = (*path, "options", key)
    short_form = (*path, part.name, key)
    return origins.of(long_form if origins.places.written(long_form) else short_form, field)


def _with_defaults(kind: str, part: Part) -> dict[str, Any]:
    """A part's options with the defaults of its Config."""
    try:
        config = plugs.load(kind, part.name).config(**part.options)
    except (UserError, ImportError, AttributeError, ValueError):
        return dict(part.options)
    return config.model_dump(mode="json")


def _shown(origins: Origins, path: Path, value: Any) -> Any:
    value = origins.places.raw.get(path, value)
    return origins.move(path, value) if isinstance(value, str) else value


def _line(leaf: Leaf) -> str:
    """A leaf as a line of YAML."""
    indent, dash = _indent(leaf.path)
    key = leaf.path[-1]
    content = "" if leaf.opens else inline(leaf.value)
    if isinstance(key, int):
        return f"{indent}- {content}"
    return f"{indent}{dash}{text(key)}:{' ' if content else ''}{content}"


def _indent(path: Path) -> tuple[str, str]:
    """Two spaces a level; the first key of a list item carries the dash."""
    indices = [depth for depth, step in enumerate(path) if isinstance(step, int)]
    if not indices:
        return "  " * (len(path) - 1), ""
    below = len(path) - 1 - indices[0]
    if below == 0:
        return "  " * indices[0], ""
    if below == 1:
        return "  " * indices[0], "- "
    return "  " * indices[0] + "  " * below, ""
