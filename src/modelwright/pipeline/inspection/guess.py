"""The likeliest task of a table, and which column plays which role in it.

Column names decide first (the aliases that the tasks themselves know), values second. What is not
sure is said, with the alternatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from modelwright import plugs
from modelwright.data.columns import COUPLES
from modelwright.errors import UserError
from modelwright.pipeline.inspection.columns import SEPARATORS, ColumnFacts, TableFacts
from modelwright.recipe.schema import DataLimits

_NUMBERED = {"id", "idx", "index", "uid", "guid", "key", "_id", "row", "编号", "序号", "no"}
_MANY_NUMBERS, _FEW_NUMBERS = 30, 12
_MOST_GAPS = DataLimits().dropped


@dataclass
class Guess:
    """A task with its columns.

    Attributes:
        task, options: as the recipe has them.
        columns: column of each role.
        doubts: what is not sure, each with its alternative.
        slices: columns by which results could be compared.
    """

    task: str
    columns: dict[str, str]
    options: dict[str, Any] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    slices: list[str] = field(default_factory=list)


def guess(table: TableFacts, task: str | None, location: str) -> Guess:
    """The task and its columns; `task` is what the user asked for.

    Raises:
        UserError: MW-202 where no column can be what a task needs, MW-105 for an unknown task.
    """
    if task is not None:
        plugs.load("task", task)
    for rule in (_images, _tagging, _texts):
        if found := rule(table, task):
            return found
    if not table.rows:
        raise UserError(
            "MW-202",
            f"{location} has no rows that can be read, only the columns "
            + ", ".join(column.name for column in table.columns),
            expected="at least a row for each class",
            fix="check how the file was written, or name another one",
        )
    needs = f"the task {task}" if task else "any task"
    kinds = ", ".join(f"{column.name} ({_described(column)})" for column in table.columns)
    raise UserError(
        "MW-202",
        f"no columns of {location} fit {needs}; they are: {kinds or 'none'}",
        expected="a text or an image, and a label, a number or tags",
        fix="name the task with --task, or write the recipe by hand: `mw list tasks`",
    )


def _described(column: ColumnFacts) -> str:
    """Its kind; a column with one value has nothing to learn."""
    alone = column.kind in {"text", "number"} and column.distinct == 1
    return f"{column.kind}, always `{next(iter(column.counts))[:40]}`" if alone else column.kind


def _wanted(task: str | None, name: str) -> bool:
    return task in (None, name) and plugs.exists("task", name)


def _of_kind(table: TableFacts, *kinds: str) -> list[ColumnFacts]:
    return [column for column in table.columns if column.kind in kinds]


def _aliases(task: str, role: str) -> list[str]:
    found = next(r for r in plugs.load("task", task).cls.roles if r.name == role)
    return [alias.lower() for alias in (found.name, *found.aliases)]


def _by_alias(columns: Sequence[ColumnFacts], aliases: Sequence[str]) -> ColumnFacts | None:
    by_name = {column.name.strip().lower(): column for column in columns}
    return next((by_name[alias] for alias in aliases if alias in by_name), None)


# -- images ---------------------------------------------------------------------------------------
def _images(table: TableFacts, task: str | None) -> Guess | None:
    name = "image-classification"
    images = _of_kind(table, "bytes")
    if not images or not _wanted(task, name):
        return None
    others = [column for column in table.columns if column.kind in {"text", "number", "list"}]
    label = _by_alias(others, _aliases(name, "label")) or (others[0] if others else None)
    if label is None:
        raise UserError(
            "MW-202",
            "the images have no labels",
            expected="a folder for each class, or a column with the class",
            fix="put the images of each class into a folder with the class's name",
        )
    return Guess(name, {"image": images[0].name, "label": label.name})


# -- entities -------------------------------------------------------------------------------------
def _tagging(table: TableFacts, task: str | None) -> Guess | None:
    name = "token-classification"
    if not _wanted(task, name):
        return None
    spans = _of_kind(table, "spans")
    spans += [column for column in _of_kind(table, "list") if column.kinds["spans"]]
    texts = _of_kind(table, "text")
    if spans and texts:
        text = _by_alias(texts, _aliases(name, "text")) or _longest(texts)
        marked = _by_alias(spans, _aliases(name, "spans")) or spans[0]
        return Guess(name, {"text": text.name, "spans": marked.name})
    lists = _of_kind(table, "list")
    if len(lists) < 2:
        return None
    tokens = _by_alias(lists, _aliases(name, "tokens")) or max(lists, key=_pieces)
    rest = [column for column in lists if column is not tokens]
    tags = _by_alias(rest, _aliases(name, "tags"))
    doubts = []
    if tags is None:
        tags = min(rest, key=_pieces)
        doubts.append(f"`{tags.name}` is taken for the tags because it has the fewest values")
    return Guess(name, {"tokens": tokens.name, "tags": tags.name}, doubts=doubts)


def _pieces(column: ColumnFacts) -> int:
    return len(column.pieces.get("[]", ()))


# -- texts ----------------------------------------------------------------------------------------
def _texts(table: TableFacts, task: str | None) -> Guess | None:
    if task not in (None, "text-classification", "text-regression"):
        return None
    texts = [column for column in _of_kind(table, "text") if not _is_number_of_row(column)]
    text, pair = _text_columns(table, texts)
    if text is None:
        return None
    used = [column for column in (text, pair) if column]
    rest = [column for column in table.columns if column not in used]
    target, doubts = _target(rest, task)
    if target is None:
        return None
    kind, why = _kind_of_target(target, task)
    columns = {"text": text.name}
    if pair is not None:
        columns["text_pair"] = pair.name
    columns["label" if kind == "text-classification" else "target"] = target.name
    found = Guess(kind, columns, doubts=[*doubts, *why, *_gaps(target)])
    if kind == "text-classification":
        found.options = _several_labels(target)
    found.slices = [column.name for column in rest if column is not target and _slices(column)]
    return found


def _is_number_of_row(column: ColumnFacts) -> bool:
    return column.name.strip().lower() in _NUMBERED


def _longest(columns: Sequence[ColumnFacts]) -> ColumnFacts:
    return max(columns, key=lambda column: column.mean_length)


def _text_columns(
    table: TableFacts, texts: list[ColumnFacts]
) -> tuple[ColumnFacts | None, ColumnFacts | None]:
    """The text, and its second half where the names say that there is one."""
    by_name = {column.name.strip().lower(): column for column in texts}
    for second, firsts in COUPLES.items():
        for first in firsts:
            if second in by_name and first in by_name:
                return by_name[first], by_name[second]
    varied = [column for column in texts if column.many or column.repetition < 2] or texts
    by_alias = _by_alias(varied, _aliases("text-classification", "text"))
    return by_alias or (_longest(varied) if varied else None), None


def _target(columns: list[ColumnFacts], task: str | None) -> tuple[ColumnFacts | None, list[str]]:
    """The column to learn, by its name, else by how often its values repeat."""
    fitting = [column for column in columns if _can_be_target(column, task)]
    aliases = _aliases("text-classification", "label")
    if plugs.exists("task", "text-regression"):
        numbers = _aliases("text-regression", "target")
        aliases = numbers + aliases if task == "text-regression" else aliases + numbers
    named = _by_alias(fitting, aliases)
    if named is not None:
        rivals = [one for one in fitting if one.name.strip().lower() in aliases if one is not named]
        others = ", ".join(f"`{column.name}`" for column in rivals)
        doubt = f"`{named.name}` is taken for the label by its name; it could also be {others}"
        return named, [doubt] if rivals else []
    if not fitting:
        return None, []
    best = max(fitting, key=lambda column: (column.repetition, column.name))
    others = ", ".join(f"`{column.name}`" for column in fitting if column is not best)
    doubt = f"`{best.name}` is taken for the label because its values repeat most"
    return best, [doubt + (f"; it could also be {others}" if others else "")]


def _can_be_target(column: ColumnFacts, task: str | None) -> bool:
    if column.kind == "list":
        return task != "text-regression" and not column.kinds["spans"]
    if column.kind not in {"text", "number"} or _is_number_of_row(column) or column.distinct < 2:
        return False
    if task == "text-regression" or (column.kind == "number" and column.fractions):
        return column.kind == "number"
    return column.repetition >= 1.5 and not column.many


def _kind_of_target(target: ColumnFacts, task: str | None) -> tuple[str, list[str]]:
    """Classes or a number, with the doubt where the values allow both."""
    if task is not None:
        return task, []
    regression, classes = "text-regression", "text-classification"
    if target.kind != "number" or not plugs.exists("task", regression):
        return classes, []
    if target.fractions and target.distinct > _FEW_NUMBERS:
        return regression, []
    called = target.name.strip().lower()
    if target.distinct > _MANY_NUMBERS and target.repetition < 50:
        why = f"`{target.name}` has {target.distinct} whole numbers: predicted as a number"
        return regression, [f"{why}; for classes: `task: {classes}`, columns label"]
    if target.distinct > 2 and called in _aliases(regression, "target")[1:] and called != "label":
        why = f"`{target.name}` has {target.distinct} values: each is a class"
        return classes, [f"{why}; for a number: `task: {regression}`, columns target"]
    return classes, []


def _gaps(target: ColumnFacts) -> list[str]:
    """A doubt where so many rows lack the label that a run would stop."""
    rows = target.filled + target.missing
    if target.missing <= _MOST_GAPS * rows:
        return []
    said = f"`{target.name}` is empty in {target.missing:,} of {rows:,} rows"
    return [f"{said}; a run stops there unless `data.limits.dropped` allows it"]


def _several_labels(target: ColumnFacts) -> dict[str, Any]:
    """multi_label where the values are lists, or text that separates few names."""
    if target.kind == "list":
        return {"multi_label": True}
    for separator in SEPARATORS:
        pieces = target.pieces.get(separator, ())
        share = target.split[separator] / max(1, target.filled)
        if share > 0.05 and len(pieces) <= max(2, target.distinct // 2):
            return {"multi_label": True, "separator": separator}
    return {}


def _slices(column: ColumnFacts) -> bool:
    few = 2 <= column.distinct <= 20 and not column.many
    return column.kind in {"text", "number"} and few and column.repetition >= 10
