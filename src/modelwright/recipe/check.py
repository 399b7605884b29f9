"""Every mistake of a recipe at once, before anything heavy is imported.

    load ─▶ shape (keys, types, ranges) ─▶ what is left ─▶ parts, files, combinations ─▶ Recipe

A value of the wrong shape is set aside and the rest is judged without it, so that one typo does
not hide the next mistake.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from modelwright.errors import Problem, RecipeError, UserError
from modelwright.recipe.combinations import contradictions, facts_of
from modelwright.recipe.files import check_files, looks_like_path
from modelwright.recipe.load import Loaded, load
from modelwright.recipe.parts import check_part, named
from modelwright.recipe.places import SET, Path, Places
from modelwright.recipe.schema import FUTURE_STAGES, Recipe
from modelwright.recipe.shape import Finding, compare, lookup

STAGES = ("data", "finetune", "compress", "evaluate", "package", "serve")

_STAND_INS: dict[str, Any] = {"name": "unnamed", "task": "unnamed", "data": {}}
"""Stand for required keys that are missing or wrong while the rest is judged."""


@dataclass(frozen=True)
class Checked:
    """A recipe without mistakes.

    Attributes:
        recipe: its values; `${VAR}` filled in, nothing derived.
        places: where each value stands, for `resolved_yaml` and `explain`.
        file: the recipe as the user named it.
        folder: where its relative paths start.
    """

    recipe: Recipe
    places: Places
    file: str
    folder: FilePath


BaseJudge = Callable[[str, str, FilePath], None]
"""Raises UserError where a base (name, modality, recipe's folder) cannot be used; from models/."""


def check(
    path: FilePath | str, sets: Sequence[str] = (), judge_base: BaseJudge | None = None
) -> Recipe:
    """Read and check a recipe with `--set KEY=VALUE` overrides.

    Args:
        path: the recipe.
        sets: overrides.
        judge_base: looks at `base`; without it only a missing folder is found.

    Raises:
        RecipeError: every mistake, in the order of the file.
    """
    return check_with_places(path, sets, judge_base).recipe


def check_with_places(
    path: FilePath | str, sets: Sequence[str] = (), judge_base: BaseJudge | None = None
) -> Checked:
    """As `check`, with the places that comments and later errors need."""
    loaded = load(path, sets)
    findings = _future_stages(loaded)
    recipe, wrong = _shape(loaded)
    findings += wrong
    if recipe is None:
        recipe = _judge_the_rest(loaded, wrong)
    if recipe is not None:
        known = [finding.path for finding in findings]
        meaning = _meaning(recipe, loaded)
        if judge_base is not None:
            meaning += _base(recipe, loaded, judge_base)
        findings += [new for new in meaning if not _overshadowed(new.path, known)]
    findings.sort(key=lambda finding: loaded.places.at(finding.path).column or 0)
    problems = loaded.problems + [_problem(finding, loaded.places) for finding in findings]
    if problems or recipe is None:
        raise RecipeError(_in_file_order(problems))
    return Checked(recipe, loaded.places, loaded.file, loaded.folder)


def _future_stages(loaded: Loaded) -> list[Finding]:
    """Take out the stages that this release does not have, with a finding each."""
    found = []
    for stage in FUTURE_STAGES:
        if stage in loaded.values and stage not in Recipe.model_fields:
            loaded.values.pop(stage)
            found.append(
                Finding(
                    (stage,),
                    "MW-110",
                    f"this release has no stage `{stage}`",
                    f"the stages {', '.join(STAGES)}",
                    f"delete the section `{stage}`",
                )
            )
    return found


def _shape(loaded: Loaded) -> tuple[Recipe | None, list[Finding]]:
    recipe, findings = compare(Recipe, loaded.values)
    variables = {path for path in loaded.places.raw}
    return recipe, [finding for finding in findings if finding.path not in variables]


def _judge_the_rest(loaded: Loaded, wrong: list[Finding]) -> Recipe | None:
    """The recipe without its misshapen values, or None when too little is left."""
    values = copy.deepcopy(loaded.values)
    for finding in sorted(wrong, key=lambda found: len(found.path), reverse=True):
        _remove(values, finding.path)
    for _ in range(3):
        for key, stand_in in _STAND_INS.items():
            values.setdefault(key, copy.deepcopy(stand_in))
        recipe, left = compare(Recipe, values)
        if recipe is not None:
            return recipe
        for finding in left:
            _remove(values, finding.path[:1])
    return None


def _remove(values: Any, path: Path) -> None:
    try:
        holder = lookup(values, path[:-1])
        if isinstance(holder, dict):
            holder.pop(path[-1], None)
        elif path[:-1]:
            # A list without one item has other indices: set the whole list aside.
            _remove(values, path[:-1])
    except (KeyError, IndexError, TypeError):
        return


def _meaning(recipe: Recipe, loaded: Loaded) -> list[Finding]:
    findings: list[Finding] = []
    for path, kind, part in named(recipe):
        if loaded.places.written(path) or (kind == "source" and part.options):
            findings += check_part(path, kind, part, _raw(loaded.values, path))
    missing_variables = set(loaded.places.raw) if loaded.problems else set()
    conflicts = contradictions(facts_of(recipe, loaded.places))
    misread = {found.path for found in conflicts if found.code == "MW-102"} | missing_variables
    files = check_files(recipe, loaded.folder)
    findings += [found for found in files if found.path not in misread]
    return findings + conflicts


def _base(recipe: Recipe, loaded: Loaded, judge: BaseJudge) -> list[Finding]:
    modality = facts_of(recipe, loaded.places).modality
    if not recipe.base or not modality or looks_like_path(recipe.base):
        return []
    try:
        judge(recipe.base, modality, loaded.folder)
    except UserError as error:
        problem = error.problem
        return [Finding(("base",), problem.code, problem.seen, problem.expected, problem.fix)]
    return []


def _raw(values: Any, path: Path) -> Any:
    try:
        return lookup(values, path)
    except (KeyError, IndexError, TypeError):
        return None


def _overshadowed(path: Path, known: list[Path]) -> bool:
    """Whether a value at this path, or one inside it, is already reported."""
    return any(path == old[: len(path)] or old == path[: len(old)] for old in known if old)


def _problem(finding: Finding, places: Places) -> Problem:
    place = places.at(finding.path)
    return Problem(
        code=finding.code,
        seen=places.hide(finding.seen),
        expected=places.hide(finding.expected),
        fix=places.hide(finding.fix),
        file=place.file,
        line=place.line,
    )


def _in_file_order(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.file == SET, problem.line or 0))
