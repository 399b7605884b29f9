"""Which column of the data plays which role of the task.

`data.columns` wins; then a column of the role's own name or one of its aliases, whatever its case;
then, for a role that must be filled, the only column left. A second text is taken without being
named only beside its counterpart (`sentence1` and `sentence2`): a `title` beside a `text` is not
half of a pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright.data.sources import Source
from modelwright.errors import UserError, did_you_mean, nearest

if TYPE_CHECKING:
    from modelwright.recipe.schema import Data
    from modelwright.tasks import Role, Task

COUPLES: dict[str, tuple[str, ...]] = {
    "text_pair": ("text",),
    "sentence2": ("sentence1", "sentence"),
    "text2": ("text1", "text"),
    "hypothesis": ("premise",),
    "question2": ("question1", "question"),
    "文本2": ("文本1", "文本"),
    "句子2": ("句子1", "句子"),
}
"""Names of a second text, and of the first text that each belongs to."""

_SHOWN_COLUMNS = 30
_NEVER_GUESSED = frozenset({"", "id", "idx", "index", "uuid", "guid", "key", "row", "unnamed: 0"})


@dataclass(frozen=True)
class Columns:
    """The columns to read.

    Attributes:
        roles: the column of each role.
        slices: columns kept for slicing.
        groups: column whose equal values stay in one split.
        names: class names by code, for columns whose codes the source names.
    """

    roles: Mapping[str, str]
    slices: tuple[str, ...] = ()
    groups: str | None = None
    names: Mapping[str, Sequence[str]] | None = None


def map_columns(source: Source, data: Data, task: type[Task]) -> Columns:
    """Find the column of every role.

    Raises:
        UserError: MW-202 when a column that is named or needed is not there.
    """
    seen = source.columns()
    _check_roles(data.columns, task)
    roles = {}
    for role, column in data.columns.items():
        roles[role] = _named(column, f"data.columns.{role}", seen, source)
    for role in task.roles:
        if role.name not in roles and (column := _recognised(role, roles, seen)):
            roles[role.name] = column
    for role in task.roles:
        if role.required and role.name not in roles:
            roles[role.name] = _only_choice(role, roles, data, source)
    targets = [role for role in task.roles if role.target]
    if not any(role.name in roles for role in targets):
        roles[targets[0].name] = _only_choice(targets[0], roles, data, source)
    slices = tuple(_named(name, "data.slices", seen, source) for name in data.slices)
    groups = data.splits.groups
    if groups is not None:
        groups = _named(groups, "data.splits.groups", seen, source)
    return Columns(roles, slices, groups, source.label_names())


def _check_roles(columns: Mapping[str, str], task: type[Task]) -> None:
    known = [role.name for role in task.roles]
    for role in columns:
        if role not in known:
            raise UserError(
                "MW-202",
                f"`data.columns.{role}`: the task {task.name} has no role `{role}`",
                expected="; ".join(f"{role.name}: {role.summary}" for role in task.roles),
                fix=did_you_mean(role, known),
            )


def _named(column: str, key: str, seen: list[str], source: Source) -> str:
    if column in seen:
        return column
    folded = [name for name in seen if name.strip().lower() == column.strip().lower()]
    if len(folded) == 1:
        return folded[0]
    raise UserError(
        "MW-202",
        f"`{key}` names the column `{column}`, which is not in the data",
        expected=f"one of its columns: {_listed(seen)}",
        fix=did_you_mean(column, seen) if seen else "check the file's header",
        file=source.location,
    )


def _recognised(role: Role, taken: Mapping[str, str], seen: list[str]) -> str | None:
    free = {name.strip().lower(): name for name in seen if name not in taken.values()}
    if role.name == "text_pair":
        return _counterpart(taken, free)
    for alias in (role.name, *role.aliases):
        if alias.lower() in free:
            return free[alias.lower()]
    if role.name == "text":
        for second, firsts in COUPLES.items():
            if second in free and firsts[0] in free:
                return free[firsts[0]]
    return None


def _counterpart(taken: Mapping[str, str], free: Mapping[str, str]) -> str | None:
    first = taken.get("text", "").strip().lower()
    for second, firsts in COUPLES.items():
        if first in firsts and second in free:
            return free[second]
    return None


def _only_choice(role: Role, taken: Mapping[str, str], data: Data, source: Source) -> str:
    seen = source.columns()
    used = {*taken.values(), *data.slices, data.splits.groups}
    left = [name for name in seen if name not in used and name.lower() not in _NEVER_GUESSED]
    if len(left) == 1:
        return left[0]
    guess = nearest(role.name, left) or (left[0] if left else "COLUMN")
    raise UserError(
        "MW-202",
        f"no column of the data is recognised as `{role.name}` ({role.summary})",
        expected=f"a column named {', '.join((role.name, *role.aliases[:6]))}, or one that the "
        f"recipe names; the columns are: {_listed(seen)}",
        fix=f"name it in the recipe: `data: {{columns: {{{role.name}: {guess}}}}}`",
        file=source.location,
    )


def _listed(seen: list[str]) -> str:
    if not seen:
        return "(none)"
    more = f" and {len(seen) - _SHOWN_COLUMNS} more" if len(seen) > _SHOWN_COLUMNS else ""
    return ", ".join(seen[:_SHOWN_COLUMNS]) + more
