"""Settings that contradict each other or the task (MW-106).

Each rule is a small function from what is known to findings; `RULES` lists them in the order of
the recipe. A rule reads the task's class only through `Facts`, so it needs no heavy library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from modelwright import plugs
from modelwright.errors import UserError, did_you_mean, nearest
from modelwright.recipe.files import is_url
from modelwright.recipe.parse import scalar
from modelwright.recipe.places import Path, Places
from modelwright.recipe.schema import NUMERIC_PASSES, Recipe
from modelwright.recipe.shape import Finding

SPEED_LIMITS = ("p50_ms", "p95_ms", "p99_ms", "rows_per_second")
"""What `evaluate.limits` may name besides the task's metrics, where the speed suite runs."""
WITH_UNITS = ("rmse", "mae")
"""Metrics in the unit of what is predicted; the others are 1 at most."""


@dataclass(frozen=True)
class Facts:
    """A recipe, its places, and the task's class where the task is known."""

    recipe: Recipe
    places: Places
    task: Any | None

    @property
    def modality(self) -> str:
        return self.task.modality if self.task else ""

    @property
    def is_regression(self) -> bool:
        return self.task is not None and "regression" in self.recipe.task.name

    def written(self, *path: str | int) -> bool:
        """Whether the user wrote this value."""
        return self.places.written(path)


def facts_of(recipe: Recipe, places: Places) -> Facts:
    """Load the task's class, if there is such a task."""
    try:
        known = plugs.exists("task", recipe.task.name)
        task = plugs.load("task", recipe.task.name).cls if known else None
    except (UserError, ImportError):
        task = None
    return Facts(recipe, places, task)


def contradictions(facts: Facts) -> list[Finding]:
    """What every rule finds."""
    return [finding for rule in RULES for finding in rule(facts)]


def _conflict(path: Path, seen: str, expected: str, fix: str) -> Finding:
    return Finding(path, "MW-106", seen, expected, fix)


# -- data -----------------------------------------------------------------------------------------
def _rows_come_from_one_place(facts: Facts) -> Iterator[Finding]:
    data = facts.recipe.data
    if data.source is None and data.splits.train is None:
        yield _conflict(
            ("data",),
            "`data` names no rows to train on",
            "`data.source` or `data.splits.train`",
            "add `source: FILE` under `data`",
        )


def _fractions_leave_training_rows(facts: Facts) -> Iterator[Finding]:
    splits = facts.recipe.data.splits
    shares = [
        share for share in (splits.validation, splits.test) if isinstance(share, (int, float))
    ]
    if sum(shares) >= 1:
        last = "test" if isinstance(splits.test, (int, float)) else "validation"
        yield _conflict(
            ("data", "splits", last),
            f"validation and test take {sum(shares):g} of the rows",
            "less than 1 together, so that training rows remain",
            "write 0.1 for each",
        )


def _fractions_are_numbers(facts: Facts) -> Iterator[Finding]:
    splits = facts.recipe.data.splits
    for name in ("validation", "test"):
        text = getattr(splits, name)
        if not isinstance(text, str):
            continue
        number = scalar(text.strip().removesuffix("%"))
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            share = number / 100 if text.strip().endswith("%") else number
            yield Finding(
                ("data", "splits", name),
                "MW-102",
                f"`data.splits.{name}: '{text}'` is text",
                "a file, or a share of the rows as a number",
                f"write {share:g}",
            )


def _one_file_is_one_split(facts: Facts) -> Iterator[Finding]:
    splits, seen = facts.recipe.data.splits, dict[str, str]()
    for name in ("train", "validation", "test"):
        file = getattr(splits, name)
        if isinstance(file, str) and file in seen:
            yield _conflict(
                ("data", "splits", name),
                f"`{seen[file]}` and `{name}` are the same file, {file}",
                "different rows in each split",
                f"write a share, such as `{name}: 0.1`",
            )
        elif isinstance(file, str):
            seen[file] = name


def _groups_have_something_to_do(facts: Facts) -> Iterator[Finding]:
    data = facts.recipe.data
    splits = data.splits
    if splits.groups is None:
        return
    path = ("data", "splits", "groups")
    files = (splits.train, splits.validation, splits.test)
    if all(isinstance(file, str) for file in files):
        yield _conflict(
            path,
            "`groups` has no effect: every split is a file",
            "at least one split made from a share of the rows",
            "delete `groups`, or write `validation: 0.1`",
        )
    for role, column in data.columns.items():
        if column == splits.groups and _is_target(facts, role):
            yield _conflict(
                path,
                f"`groups` is the column `{column}`, which is the {role}",
                "a column such as a customer or a document",
                "delete `groups`: it would put each class in one split only",
            )


def _is_target(facts: Facts, role: str) -> bool:
    return facts.task is not None and any(r.name == role and r.target for r in facts.task.roles)


def _roles_are_the_tasks(facts: Facts) -> Iterator[Finding]:
    if facts.task is None:
        return
    roles = {role.name: role for role in facts.task.roles}
    used: dict[str, str] = {}
    for role, column in facts.recipe.data.columns.items():
        path = ("data", "columns", role)
        if role not in roles:
            yield _unknown_role(facts, role, column, list(roles))
        elif column in used:
            yield _conflict(
                path,
                f"`{used[column]}` and `{role}` are the same column, `{column}`",
                "a column for each role",
                f"{role}: {roles[role].summary}",
            )
        used.setdefault(column, role)


def _unknown_role(facts: Facts, role: str, column: str, roles: list[str]) -> Finding:
    name = facts.recipe.task.name
    listed = ", ".join(f"{r.name} ({r.summary})" for r in facts.task.roles) if facts.task else ""
    if column in roles:
        fix = f"write it the other way round: `{column}: {role}`"
    elif close := nearest(role, roles):
        fix = f"did you mean `{close}`?"
    else:
        fix = f"write one of them, such as `{roles[0]}: {column}`"
    return _conflict(
        ("data", "columns", role), f"`{role}` is not a column that {name} reads", listed, fix
    )


def _parts_fit_the_modality(facts: Facts) -> Iterator[Finding]:
    """Cleaners and augmenters say which modality they are for, by an attribute `modality`."""
    if facts.task is None:
        return
    for field, kind in (("clean", "cleaner"), ("augment", "augmenter")):
        for index, part in enumerate(getattr(facts.recipe.data, field) or ()):
            modality = _modality(kind, part.name)
            if modality and facts.modality not in modality:
                yield _conflict(
                    ("data", field, index),
                    f"`{part.name}` is for {' and '.join(modality)} data; "
                    f"{facts.recipe.task.name} reads {facts.modality}",
                    f"a {kind} for {facts.modality}",
                    f"delete `{part.name}`",
                )


def _modality(kind: str, name: str) -> tuple[str, ...]:
    if not plugs.exists(kind, name):
        return ()
    try:
        cls = plugs.load(kind, name).cls
    except (UserError, ImportError, AttributeError):
        return ()
    found = getattr(cls, "modalities", None) or getattr(cls, "modality", None) or ()
    return (found,) if isinstance(found, str) else tuple(found)


# -- base and training ----------------------------------------------------------------------------
def _method_has_a_trained_base(facts: Facts) -> Iterator[Finding]:
    base, method = facts.recipe.base or "", facts.recipe.finetune.method.name
    if base.partition(":")[0] == "scratch" and method in {"lora", "head"}:
        yield _conflict(
            ("finetune", "method"),
            f"`method: {method}` keeps the base as it is; `base: {base}` has learnt nothing yet",
            "a trained base, or all weights trained",
            "write `method: full`, or name a base such as minilm-l6",
        )


_TEXT_ONLY = ("max_tokens", "batch_tokens", "pooling")
_IMAGE_ONLY = ("image_size",)


def _options_fit_the_modality(facts: Facts) -> Iterator[Finding]:
    wrong = {"image": _TEXT_ONLY, "text": _IMAGE_ONLY}.get(facts.modality, ())
    other = {"image": "text", "text": "images"}.get(facts.modality, "")
    for name in wrong:
        if facts.written("finetune", name) and getattr(facts.recipe.finetune, name) is not None:
            yield _conflict(
                ("finetune", name),
                f"`{name}` is for {other}, and {facts.recipe.task.name} reads {facts.modality}",
                f"settings for {facts.modality}",
                f"delete `{name}`",
            )


def _regression_has_no_classes(facts: Facts) -> Iterator[Finding]:
    finetune = facts.recipe.finetune
    if not facts.is_regression:
        return
    if finetune.label_smoothing:
        yield _conflict(
            ("finetune", "label_smoothing"),
            "`label_smoothing` is for classes; this task predicts a number",
            "a task with classes",
            "delete `label_smoothing`",
        )
    if finetune.class_weights != "none":
        yield _conflict(
            ("finetune", "class_weights"),
            "`class_weights` is for classes; this task predicts a number",
            "a task with classes",
            "delete `class_weights`",
        )


def _tokens_of_a_step_hold_a_row(facts: Facts) -> Iterator[Finding]:
    finetune = facts.recipe.finetune
    if (
        finetune.batch_tokens
        and finetune.max_tokens
        and finetune.batch_tokens < finetune.max_tokens
    ):
        yield _conflict(
            ("finetune", "batch_tokens"),
            f"`batch_tokens: {finetune.batch_tokens}` is less than "
            f"`max_tokens: {finetune.max_tokens}`",
            "room for at least one row a step",
            f"write `batch_tokens: {max(4096, finetune.max_tokens)}`, or delete the line",
        )


def _suites_and_formats_stand_once(facts: Facts) -> Iterator[Finding]:
    for section, field in (("evaluate", "suites"), ("package", "formats")):
        seen: set[str] = set()
        for index, part in enumerate(getattr(getattr(facts.recipe, section), field) or ()):
            if part.name in seen:
                yield _conflict(
                    (section, field, index),
                    f"`{part.name}` stands twice in `{section}.{field}`",
                    "each once",
                    f"delete the second `{part.name}`",
                )
            seen.add(part.name)


def _passes_do_something(facts: Facts) -> Iterator[Finding]:
    compress = facts.recipe.compress
    if compress is None or compress.passes is None:
        return
    names = [part.name for part in compress.passes]
    if not names:
        yield _conflict(
            ("compress", "passes"),
            "`compress.passes` is empty: nothing would be compressed",
            "at least one of " + ", ".join([*plugs.names("pass"), NUMERIC_PASSES]),
            "delete the line for all that suit the model",
        )
    if "distil" in names and not {"layers", "heads", "ffn"} & {*names}:
        yield _conflict(
            ("compress", "passes", names.index("distil")),
            "`distil` teaches networks that were cut, and no pass here cuts layers, heads or neurons",
            "a cut beside `distil`: layers, heads or ffn",
            "add layers, heads and ffn, or delete `distil`",
        )


def _package_holds_a_form(facts: Facts) -> Iterator[Finding]:
    if not facts.recipe.package.formats:
        yield _conflict(
            ("package", "formats"),
            "`package.formats` is empty: the bundle would hold no model",
            "at least one of " + ", ".join(plugs.names("format")),
            "delete the line for the default",
        )


def _limits_name_metrics(facts: Facts) -> Iterator[Finding]:
    if facts.task is None:
        return
    suites = facts.recipe.evaluate.suites
    timed = suites is None or any(part.name == "speed" for part in suites)
    known = [*facts.task.metrics, *(SPEED_LIMITS if timed else ())]
    for name in facts.recipe.evaluate.limits:
        if name not in known:
            yield _conflict(
                ("evaluate", "limits", name),
                f"`{name}` is not measured for {facts.recipe.task.name}",
                "one of " + ", ".join(known),
                did_you_mean(name, known),
            )


def _limits_can_be_met(facts: Facts) -> Iterator[Finding]:
    shares = {*facts.task.metrics} - {*WITH_UNITS} if facts.task else set()
    for name, limit in facts.recipe.evaluate.limits.items():
        if name in shares and limit > 1:
            yield _conflict(
                ("evaluate", "limits", name),
                f"`{name}` cannot reach {limit:g}",
                "a share, 1 at most",
                f"write {limit / 100:g}" if limit <= 100 else "write a number from 0 to 1",
            )


def _sql_has_a_query(facts: Facts) -> Iterator[Finding]:
    source, options = facts.recipe.data.source or "", facts.recipe.data.options
    if is_url(source) and source.startswith("sql") and not {"query", "table"} & set(options):
        if "query=" in source:
            return
        yield _conflict(
            ("data", "source"),
            "the database is named, but no query",
            "rows to read",
            "add `?query=SELECT ...` to the URL",
        )


def _signals_can_be_looked_at(facts: Facts) -> Iterator[Finding]:
    known = plugs.names("signal")
    for index, name in enumerate(facts.recipe.monitor.signals or ()):
        if name not in known:
            yield Finding(
                ("monitor", "signals", index),
                "MW-105",
                f"`{name}` is no known signal",
                f"one of {', '.join(known)}",
                did_you_mean(name, known),
            )
        elif facts.task and plugs.load("signal", name).cls.modality not in (
            "",
            facts.task.modality,
        ):
            yield _conflict(
                ("monitor", "signals", index),
                f"`{name}` looks at other inputs than {facts.recipe.task.name} has",
                f"a signal for {facts.task.modality}s (`mw list signals`)",
                "delete it",
            )
    if facts.recipe.monitor.signals == []:
        yield _conflict(
            ("monitor", "signals"),
            "`monitor.signals` is empty: nothing would be monitored",
            f"some of {', '.join(known)}",
            "delete the line for all that suit the task",
        )


RULES: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    _rows_come_from_one_place,
    _sql_has_a_query,
    _fractions_leave_training_rows,
    _fractions_are_numbers,
    _one_file_is_one_split,
    _groups_have_something_to_do,
    _roles_are_the_tasks,
    _parts_fit_the_modality,
    _method_has_a_trained_base,
    _options_fit_the_modality,
    _regression_has_no_classes,
    _tokens_of_a_step_hold_a_row,
    _suites_and_formats_stand_once,
    _passes_do_something,
    _package_holds_a_form,
    _limits_name_metrics,
    _limits_can_be_met,
    _signals_can_be_looked_at,
)
