"""Values that the recipe leaves open, each with the reason for it.

A rule looks at the recipe and at facts and returns `Derived` records; `apply` makes a new recipe
of them. Nothing changes a recipe in place, and a value that the user wrote is never derived.

    derived = derive_static(recipe, language="en") + rules_of_training(...)
    complete = apply(recipe, derived)
    resolved_yaml(complete, places, derived)          # each value with its origin
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelwright import plugs
from modelwright.errors import InternalError, UserError
from modelwright.recipe.places import parsed
from modelwright.recipe.schema import USUAL_P99_MS, Part, Recipe, Section
from modelwright.recipe.shape import compare

ENGLISH_BASE, SCRATCH_BASE = "minilm-l6", "scratch:small"


@dataclass(frozen=True)
class Derived:
    """One derived value.

    Attributes:
        path: dotted, as in `finetune.epochs` or `data.clean[1].near-duplicates.threshold`.
        value: as a user would write it (parts in their short form).
        why: completes "derived: ...", such as "3 epochs for 10,003 rows at effort standard".
    """

    path: str
    value: Any
    why: str


def apply(recipe: Recipe, derived: Sequence[Derived]) -> Recipe:
    """A new recipe with the derived values in their places.

    Raises:
        InternalError: a rule derived something that no recipe may hold.
    """
    values = plain(recipe)
    for item in derived:
        _set(values, item)
    complete, findings = compare(Recipe, values)
    if findings:
        said = "; ".join(f"{finding.seen} (expected {finding.expected})" for finding in findings)
        raise InternalError(f"a derived value does not fit the recipe: {said}")
    return complete


def plain(value: Any) -> Any:
    """A section as a user would write it: dictionaries, lists and scalars."""
    if isinstance(value, Part):
        return {value.name: dict(value.options)} if value.options else value.name
    if isinstance(value, Section):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def _set(values: dict[str, Any], item: Derived) -> None:
    path = parsed(item.path)
    if path is None:
        raise InternalError(f"`{item.path}` is not a path")
    holder: Any = values
    try:
        for depth, step in enumerate(path[:-1]):
            child = holder[step]
            if child == path[depth + 1]:
                child = holder[step] = {child: {}}  # `lora` becomes {lora: {...}}
            holder = child
        holder[path[-1]] = plain(item.value)
    except (KeyError, IndexError, TypeError) as error:
        raise InternalError(f"`{item.path}` has no place in the recipe: {error!r}") from error


def derive_static(recipe: Recipe, language: str | None = None) -> list[Derived]:
    """What follows from the recipe alone, and from the data's language where it is known.

    Args:
        recipe: a checked recipe.
        language: two-letter code of the training text's main language; None while the data has
            not been read, and then the base of a text task stays open.
    """
    found: list[Derived] = []
    if recipe.evaluate.suites is None:
        found.append(Derived("evaluate.suites", ["quality", "speed"], "the suites of every run"))
    if recipe.serve.slo.p99_ms is None:
        found.append(Derived("serve.slo.p99_ms", USUAL_P99_MS, "usual where somebody waits"))
    if recipe.base is None and (base := _base(recipe, language)):
        found.append(base)
    return found


def _base(recipe: Recipe, language: str | None) -> Derived | None:
    modality = plugs.load("task", recipe.task.name).cls.modality
    if modality == "text" and language is None:
        return None
    if modality == "text" and language == "en":
        return Derived(
            "base", ENGLISH_BASE, "the text is English; this base comes with the package"
        )
    why = "images" if modality == "image" else f"no embedded base knows the language `{language}`"
    method = recipe.finetune.method.name
    if method in {"lora", "head"}:
        raise UserError(
            "MW-106",
            f"`finetune.method: {method}` needs a trained base, and there is none to choose: {why}",
            expected="a trained base, or all weights trained",
            fix="name a `base` (a folder or a hub id), or write `method: full`",
        )
    return Derived("base", SCRATCH_BASE, f"{why}: trained from scratch")
