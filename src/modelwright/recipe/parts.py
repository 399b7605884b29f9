"""The parts that a recipe names: whether they exist, and whether their options are right.

Only the parts that the user wrote are loaded, and loading one imports no heavy library.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from modelwright import plugs
from modelwright.errors import UserError, did_you_mean
from modelwright.recipe.places import Path, dotted
from modelwright.recipe.schema import NUMERIC_PASSES, Part, Recipe
from modelwright.recipe.shape import Finding, compare

AUTO = "auto"

Named = tuple[Path, str, Part]
"""A path, the kind of part that stands there, and the part."""


def named(recipe: Recipe) -> Iterator[Named]:
    """Every part of a recipe with its path and kind, in the schema's order."""
    yield ("task",), "task", recipe.task
    yield ("data", "format"), "source", Part(name=recipe.data.format, options=recipe.data.options)
    yield from _listed(("data", "clean"), "cleaner", recipe.data.clean)
    yield from _listed(("data", "augment"), "augmenter", recipe.data.augment)
    yield ("finetune", "method"), "method", recipe.finetune.method
    if recipe.compress is not None:
        yield from _listed(("compress", "passes"), "pass", recipe.compress.passes)
    yield from _listed(("evaluate", "suites"), "suite", recipe.evaluate.suites)
    yield from _listed(("package", "formats"), "format", recipe.package.formats)


def _listed(path: Path, kind: str, parts: list[Part] | None) -> Iterator[Named]:
    for index, part in enumerate(parts or ()):
        yield (*path, index), kind, part


def check_part(path: Path, kind: str, part: Part, raw: Any) -> list[Finding]:
    """What is wrong with a part's name or its options; `raw` is what the user wrote there."""
    if kind == "source" and part.name == AUTO:
        return _check_auto(part)
    if kind == "pass" and part.name == NUMERIC_PASSES:
        return _check_group(options_path(path, kind, part, raw), part)
    if not plugs.exists(kind, part.name):
        return _unknown(path, kind, part.name)
    try:
        config = plugs.load(kind, part.name).config
    except (UserError, ImportError, AttributeError) as error:
        return [_unloadable(path, kind, part.name, error)]
    return compare(config, part.options, options_path(path, kind, part, raw))[1]


def options_path(path: Path, kind: str, part: Part, raw: Any) -> Path:
    """Where the options of a part stand in the recipe."""
    if kind == "source":
        return ("data", "options")
    if isinstance(raw, dict) and "name" in raw:
        return (*path, "options")
    return (*path, part.name)


def _unknown(path: Path, kind: str, name: str) -> list[Finding]:
    known = plugs.names(kind)
    if not known:
        return []
    if kind == "source":
        known = [AUTO, *known]
    if kind == "pass":
        known = [*known, NUMERIC_PASSES]
    return [
        Finding(
            path,
            "MW-105",
            f"`{dotted(path)}: {name}` is no known {kind}",
            f"one of {', '.join(known)}",
            did_you_mean(name, known),
        )
    ]


def _unloadable(path: Path, kind: str, name: str, error: Exception) -> Finding:
    if isinstance(error, UserError):
        problem = error.problem
        return Finding(path, problem.code, problem.seen, problem.expected, problem.fix)
    return Finding(
        path,
        "MW-806",
        f"the {kind} `{name}` cannot be loaded: {error}",
        "a part that imports",
        "install the library that it names, or repair the package that brings the part",
    )


def _check_group(path: Path, part: Part) -> list[Finding]:
    """`quantize` stands for all numeric passes, whose options differ."""
    return [
        Finding(
            (*path, option),
            "MW-101",
            f"`{option}` is not an option of `{NUMERIC_PASSES}`, which stands for all numeric passes",
            "options beside the pass that has them",
            f"write {{int8-static: {{{option}: ...}}}} beside `{NUMERIC_PASSES}`, or delete it",
        )
        for option in part.options
    ]


def _check_auto(part: Part) -> list[Finding]:
    """With `format: auto` an option must belong to at least one format."""
    if not part.options:
        return []
    known: dict[str, list[str]] = {}
    for name in plugs.names("source"):
        for option in plugs.load("source", name).config.model_fields:
            known.setdefault(option, []).append(name)
    return [
        Finding(
            ("data", "options", option),
            "MW-101",
            f"`{option}` is not an option of any format",
            f"one of {', '.join(sorted(known))}",
            did_you_mean(option, known),
        )
        for option in part.options
        if known and option not in known
    ]
