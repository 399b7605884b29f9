"""What a command says: an answer on stdout, errors on stderr, or one JSON object for both."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from typing import Any, TextIO

from modelwright.errors import Problem

_RED, _BOLD, _DIM, _OFF = "\033[31m", "\033[1m", "\033[2m", "\033[0m"


@dataclass(frozen=True)
class Answer:
    """A command's result.

    Attributes:
        data: what `--json` prints.
        text: what a person reads on stdout; nothing when empty.
        exit: 0, or 3 when a gate failed that is not an error of its own.
    """

    data: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    exit: int = 0


def show_answer(answer: Answer, *, as_json: bool) -> None:
    """Print an answer on stdout."""
    if as_json:
        print_json(answer.data)
    elif answer.text:
        print(answer.text)
    sys.stdout.flush()


def print_json(value: Any) -> None:
    """One JSON object on stdout; what JSON has no form for is written as text."""
    print(json.dumps(value, ensure_ascii=not _speaks_unicode(sys.stdout), indent=2, default=str))
    sys.stdout.flush()


def show_problems(
    problems: list[Problem], exit_code: int, *, as_json: bool, trace: str = ""
) -> None:
    """Print errors: on stderr for people, as JSON on stdout for programs."""
    if as_json:
        error: dict[str, Any] = {"problems": [problem.as_dict() for problem in problems]}
        if trace:
            error["trace"] = trace
        print_json({"error": error, "exit": exit_code})
        return
    colour = wants_colour(sys.stderr)
    if trace:
        print(trace, file=sys.stderr)
    for problem in problems:
        print(problem_text(problem, colour=colour), file=sys.stderr)
    if exit_code == 2 and problems:
        print(footer(problems), file=sys.stderr)


def problem_text(problem: Problem, *, colour: bool) -> str:
    """A problem as `str` has it; in colour the code and the place stand out."""
    text = str(problem)
    if not colour:
        return text
    head, _, rest = text.partition("\n")
    place = f"{problem.place}: " if problem.place else ""
    said = head.removeprefix(f"{problem.code} ").removeprefix(place)
    head = f"{_RED}{_BOLD}{problem.code}{_OFF} {_BOLD}{place}{_OFF}{said}"
    for word in ("expected:", "fix:"):
        rest = rest.replace(f"  {word}", f"  {_DIM}{word}{_OFF}", 1)
    return f"{head}\n{rest}" if rest else head


def footer(problems: list[Problem]) -> str:
    """How many, and where to read more."""
    count = len(problems)
    counted = "1 problem" if count == 1 else f"{count} problems"
    return f"{counted}; `mw explain {problems[0].code}` says more"


def wants_colour(stream: TextIO) -> bool:
    """On a terminal, unless NO_COLOR or a dumb terminal says otherwise."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def _speaks_unicode(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", "") or "").lower().startswith("utf")


def table(rows: list[tuple[str, ...]], *, indent: str = "") -> str:
    """Aligned columns, two spaces apart; wide (Chinese) characters count as two."""
    if not rows:
        return ""
    widths = [max(width(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell + " " * (widths[i] - width(cell)) for i, cell in enumerate(row)]
        lines.append((indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide
