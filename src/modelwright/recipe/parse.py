"""YAML 1.2 text to plain values and the place of each; strict, and safe on hostile input.

ruamel.yaml's parser gives events; values are built here by the core schema of YAML 1.2 (section
10.3.2), so that `no` stays a string, `1e-4` is a number, and a duplicate key, a tag or a bomb of
aliases is an error with its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from modelwright.errors import Problem, RecipeError
from modelwright.recipe.places import Path, Place

MAX_DEPTH = 24
MAX_VALUES = 5_000

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBERS: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"[-+]?[0-9]{1,4000}"), int),
    (re.compile(r"0o[0-7]{1,1000}"), lambda text: int(text[2:], 8)),
    (re.compile(r"0x[0-9a-fA-F]{1,1000}"), lambda text: int(text[2:], 16)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (
        re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
        lambda text: float(text.replace(".", "")),
    ),
)


@dataclass
class Parsed:
    """A document: its value, the place of each value, and mistakes that don't stop reading."""

    value: Any
    places: dict[Path, Place]
    problems: list[Problem]
    empty: bool = False


@dataclass
class _Node:
    """A value before aliases are followed: a scalar, a list, or a mapping with keys' marks."""

    line: int
    column: int
    scalar: Any = None
    items: list[_Node] | None = None
    entries: dict[str, tuple[_Node, int, int]] | None = None
    open: bool = True
    key: str | None = field(default=None)


def parse(text: str, file: str) -> Parsed:
    """Read one document.

    Raises:
        RecipeError: MW-103 where reading cannot go on.
    """
    reader = _Reader(file, text.splitlines())
    root = reader.read(_events(text, file))
    if root is None:
        return Parsed(None, {}, reader.problems, empty=True)
    expander = _Expander(reader)
    value = expander.expand(root, (), (root.line, root.column))
    return Parsed(value, expander.places, reader.problems)


def scalar(text: str) -> Any:
    """A plain scalar's value by the core schema."""
    if text in _WORDS:
        return _WORDS[text]
    for pattern, value_of in _NUMBERS:
        if pattern.fullmatch(text):
            return value_of(text)
    return text


def _events(text: str, file: str) -> Iterator[Any]:
    """ruamel.yaml's events; its errors as ours."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    lines = text.splitlines()
    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as error:
        raise RecipeError([_syntax(error, lines, file)]) from None
    except YAMLError as error:
        raise RecipeError([_unreadable(error, text, file)]) from None


def _syntax(error: Any, lines: list[str], file: str) -> Problem:
    """ruamel's finding with the line it is about and what usually mends it."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    line = max(1, min(line, len(lines)))
    shown = lines[line - 1] if lines else ""
    opened = error.context_mark.line + 1 if error.context_mark else None
    previous = next((old.strip() for old in reversed(lines[: line - 1]) if old.strip()), "")
    problem = str(error.problem)
    return Problem(
        code="MW-103",
        seen=f"column {column}: {problem}: `{_cut(shown)}`",
        expected="YAML 1.2",
        fix=_syntax_fix(problem, shown, previous, opened),
        file=file,
        line=line,
    )


def _syntax_fix(problem: str, shown: str, previous: str, opened: int | None) -> str:
    indent = shown[: len(shown) - len(shown.lstrip())]
    if "\t" in indent or "'\\t'" in problem:
        return "indent with spaces; YAML does not allow tabs there"
    where = f" that opens in line {opened}" if opened else ""
    if ":" not in previous and previous and not previous.startswith(("#", "-")):
        colon = f"the line before it, `{_cut(previous)}`, has no colon: write `key: value`"
    else:
        colon = "indent it as its neighbours are; put a value that holds a colon in quotes"
    bracket = f"close the bracket{where}, and put a comma between items"
    if "${" in shown:
        bracket = "put a value with ${...} in quotes when it stands inside brackets"
    usual = {
        "mapping values are not allowed": colon,
        "'%'": "put the value in quotes",
        "'@'": "put the value in quotes",
        "'`'": "put the value in quotes",
        "expected ',' or": bracket,
        "'<stream end>'": bracket,
        "end of stream": f"close the quote{where}",
        "quoted scalar": f"close the quote{where}",
        "could not find expected ':'": "write `key: value`, with a space after the colon",
    }
    otherwise = "compare the indentation with the lines around it"
    return next((fix for words, fix in usual.items() if words in problem), otherwise)


def _unreadable(error: Exception, text: str, file: str) -> Problem:
    position = getattr(error, "position", None)
    character = getattr(error, "character", None)
    line = text.count("\n", 0, position) + 1 if isinstance(position, int) else 1
    number = ord(character) if isinstance(character, str) and character else character
    code = f"U+{number:04X}" if isinstance(number, int) else "found here"
    return Problem(
        code="MW-103",
        seen=f"the control character {code} cannot stand in YAML",
        expected="printable text",
        fix="delete the character; is this really the recipe?",
        file=file,
        line=line,
    )


class _Reader:
    """Events to nodes with a stack, so that depth is bounded before anything recurses."""

    def __init__(self, file: str, lines: list[str]) -> None:
        self.file, self.lines = file, lines
        self.problems: list[Problem] = []
        self.anchors: dict[str, _Node] = {}
        self.stack: list[_Node] = []
        self.root: _Node | None = None
        self.documents = 0

    def read(self, events: Iterator[Any]) -> _Node | None:
        """The root node, or None when the text holds no document."""
        for count, event in enumerate(events):
            if count > 2 * MAX_VALUES:
                raise self.stop(event, f"it holds more than {MAX_VALUES} values", "a recipe")
            getattr(self, f"_{type(event).__name__}", self._other)(event)
        return self.root

    def stop(self, event: Any, seen: str, expected: str, fix: str = "") -> RecipeError:
        """The error that ends reading."""
        line = event.start_mark.line + 1 if hasattr(event, "start_mark") else event.line
        return RecipeError([self._problem(line, seen, expected, fix)])

    def _problem(self, line: int, seen: str, expected: str, fix: str) -> Problem:
        return Problem(
            code="MW-103", seen=seen, expected=expected, fix=fix, file=self.file, line=line
        )

    def _other(self, event: Any) -> None:
        pass

    def _DocumentStartEvent(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            raise self.stop(
                event,
                "a second document starts here (`---`)",
                "one document",
                "keep one recipe a file",
            )

    def _ScalarEvent(self, event: Any) -> None:
        plain = event.style is None or event.style == ""
        node = self._node(event)
        node.scalar = scalar(event.value) if plain and event.tag is None else event.value
        node.key = event.value
        node.open = False
        self._place(node, event)

    def _AliasEvent(self, event: Any) -> None:
        node = self.anchors.get(event.anchor)
        if node is None:
            raise self.stop(
                event,
                f"`*{event.anchor}` names no anchor above it",
                "a defined alias",
                "put the value in quotes: a leading * has a meaning in YAML",
            )
        if node.open:
            raise self.stop(event, f"`*{event.anchor}` contains itself", "a finite recipe")
        self._place(node, event)

    def _SequenceStartEvent(self, event: Any) -> None:
        self._open(event, items=[])

    def _MappingStartEvent(self, event: Any) -> None:
        self._open(event, entries={})

    def _SequenceEndEvent(self, event: Any) -> None:
        self.stack.pop().open = False

    def _MappingEndEvent(self, event: Any) -> None:
        self.stack.pop().open = False

    def _open(self, event: Any, **content: Any) -> None:
        if len(self.stack) >= MAX_DEPTH:
            raise self.stop(event, f"it is nested deeper than {MAX_DEPTH} levels", "a recipe")
        node = self._node(event)
        node.items, node.entries = content.get("items"), content.get("entries")
        node.key = None
        self._place(node, event)
        self.stack.append(node)

    def _node(self, event: Any) -> _Node:
        if event.tag is not None and str(event.tag) != "!":
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            raise self.stop(
                event,
                f"the tag `{tag}` asks for a special type",
                "plain values",
                "delete the tag; quotes make text of a number",
            )
        node = _Node(event.start_mark.line + 1, event.start_mark.column + 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _place(self, node: _Node, event: Any) -> None:
        """Hang a node where it belongs: root, list item, key, or value of the waiting key."""
        if not self.stack:
            self.root = node
            return
        parent = self.stack[-1]
        if parent.items is not None:
            parent.items.append(node)
            return
        if parent.key is None:
            self._key(parent, node, event)
            return
        name, (line, column) = parent.key, parent.scalar
        parent.key = parent.scalar = None
        if parent.entries is not None:
            parent.entries[name] = (node, line, column)

    def _key(self, parent: _Node, node: _Node, event: Any) -> None:
        if node.key is None or node.items is not None or node.entries is not None:
            raise self.stop(
                event,
                "a key is a list or a section",
                "a name before the colon",
                "quote the key, or close the bracket before the colon",
            )
        entries = parent.entries or {}
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if node.key in entries:
            first = entries[node.key][1]
            self.problems.append(
                self._problem(
                    line,
                    f"column {column}: the key `{node.key}` stands twice: "
                    f"`{_cut(self.lines[line - 1])}`",
                    f"each key once; it first stands in line {first}",
                    f"delete line {first} or line {line}",
                )
            )
        parent.key, parent.scalar = node.key, (line, column)


class _Expander:
    """Nodes to values; aliases are copied, and counted, so that a bomb ends early."""

    def __init__(self, reader: _Reader) -> None:
        self.reader = reader
        self.places: dict[Path, Place] = {}
        self.count = 0

    def expand(self, node: _Node, path: Path, at: tuple[int, int]) -> Any:
        """The value of a node; `at` is its key's place, which is what an editor should jump to."""
        self.count += 1
        if self.count > MAX_VALUES or len(path) > MAX_DEPTH:
            raise self.reader.stop(
                node, "its aliases expand to more values than a recipe can have", "a recipe"
            )
        self.places[path] = Place(self.reader.file, *at)
        if node.items is not None:
            return [
                self.expand(item, (*path, index), (item.line, item.column))
                for index, item in enumerate(node.items)
            ]
        if node.entries is not None:
            return {
                name: self.expand(child, (*path, name), (line, column))
                for name, (child, line, column) in node.entries.items()
            }
        return node.scalar


def _cut(line: str, width: int = 100) -> str:
    text = line.rstrip("\r\n").replace("\t", "\\t")
    return text if len(text) <= width else text[: width - 1] + "…"
