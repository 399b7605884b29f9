"""Labelled rows: from the CSV that was written for people, any CSV like it, or the feedback log.

Every row is checked by the task as training rows are, and keeps where it came from. A row that
cannot be used is told with its line and set aside; the others go on.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelwright.artifacts.hashing import digest_file, digest_json
from modelwright.errors import UserError
from modelwright.recipe.schema import Recipe
from modelwright.renew.asked import FEEDBACK
from modelwright.renew.choosing import Chosen, plain_form
from modelwright.renew.traffic import Recorded
from modelwright.runtime.files import write_text
from modelwright.tasks import RowProblem, Task

LEAST = 8
"""Labelled rows with which a renewal begins: some to learn from, some to test on."""
TEXTS = ("text", "text_pair")


@dataclass(frozen=True)
class Labelled:
    """A labelled row: the task's columns, and its origin (`FILE:LINE` or `feedback REQUEST:INDEX`)."""

    row: dict[str, Any]
    origin: str

    @property
    def form(self) -> str:
        """What says whether two rows are the same."""
        return plain_form({name: self.row[name] for name in TEXTS if name in self.row})


@dataclass
class Found:
    """What was taken and what was not.

    Attributes:
        rows: usable rows, each input once.
        empty: rows without a label.
        aside: reason -> rows that were set aside.
        examples: of these, in words.
        new_labels: labels that the model does not know, with their rows.
    """

    rows: list[Labelled] = field(default_factory=list)
    empty: int = 0
    aside: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    new_labels: Counter[str] = field(default_factory=Counter)

    def leave(self, reason: str, place: str, detail: str = "") -> None:
        """Set a row aside."""
        self.aside[reason] += 1
        if len(self.examples) < 5:
            self.examples.append(f"{place}: {reason} {detail}".rstrip())


def write_to_label(path: Path, chosen: Sequence[Chosen], target: str) -> None:
    """The file for people: an empty column for the label; opens in any spreadsheet."""
    pair = any(isinstance(one.row.input, dict) for one in chosen)
    texts = list(TEXTS) if pair else ["text"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["id", *texts, target, "answer", "why"])
    for one in chosen:
        given = one.row.input if isinstance(one.row.input, dict) else {"text": one.row.input}
        cells = [given.get(name, "") for name in texts]
        answer = "|".join(one.answer) if isinstance(one.answer, list) else one.answer
        writer.writerow([one.row.id, *cells, "", answer, one.why])
    write_text(path, "\ufeff" + out.getvalue())  # spreadsheets take it for UTF-8 then


def digest_of(sources: Sequence[str], rows: Sequence[Recorded]) -> str:
    """What the labels are: equal for equal content, however often callers sent it."""
    told = [
        sorted({json.dumps([row.input, row.truth]) for row in rows if row.truth is not None})
        if source == FEEDBACK
        else digest_file(existing(source))
        for source in sorted(sources)
    ]
    return digest_json(told)


def existing(source: str) -> Path:
    """The file of a source; MW-804 where there is none."""
    path = Path(source)
    if not path.is_file():
        raise UserError(
            "MW-804",
            f"there is no file {source}",
            expected="the CSV with the labels, or `feedback`",
            fix="--labels to-label.csv",
        )
    return path


def read_labels(
    sources: Sequence[str], rows: Sequence[Recorded], task: type[Task], options: Mapping[str, Any]
) -> Found:
    """Read all sources, files first: what a file says of an input counts before feedback.

    Raises:
        UserError: MW-654 for a file without the columns or with no label at all.
    """
    target = next(role.name for role in task.roles if role.target)
    known = {row.id: row.input for row in rows}
    found, seen = Found(), set()
    for source in sorted(sources, key=lambda one: one == FEEDBACK):
        if source == FEEDBACK:
            read = _of_feedback(rows, target)
        else:
            read = _of_file(source, known, target, found)
        for place, values in read:
            if values[target] in (None, "", []):
                found.empty += 1
                continue
            try:
                one = Labelled(task.canonical(values, options).row, place)
            except RowProblem as problem:
                found.leave(problem.reason, place, problem.detail)
                continue
            if one.form in seen:
                found.leave("labelled-twice", place)
                continue
            seen.add(one.form)
            found.rows.append(one)
    return found


def enough(found: Found, sources: Sequence[str]) -> None:
    """Raises UserError MW-654 where too few rows carry a label."""
    if len(found.rows) >= LEAST:
        return
    aside = "".join(f"; {example}" for example in found.examples)
    raise UserError(
        "MW-654",
        f"{len(found.rows)} labelled rows in {', '.join(sources)}, {found.empty} without a label, "
        f"{sum(found.aside.values())} that cannot be used{aside}",
        expected=f"at least {LEAST} labelled rows",
        fix="fill the column of the label, and run the same command again",
    )


def judge_new_labels(found: Found, known: Sequence[str], recipe: Recipe, task: type[Task]) -> None:
    """Set rows with unknown labels aside unless the recipe lets them come; both are told."""
    if not known:
        return  # a regression
    kept = []
    for one in found.rows:
        strange = [label for label in task.row_labels(one.row) if label not in set(known)]
        found.new_labels.update(strange)
        if strange and not recipe.renew.new_labels:
            detail = f"{', '.join(strange)} (renew: {{new_labels: true}} lets it come)"
            found.leave("new-label", one.origin, detail)
        else:
            kept.append(one)
    found.rows = kept


def split_off(rows: Sequence[Labelled], share: float) -> tuple[list[Labelled], list[Labelled]]:
    """Rows to learn from, and test rows: by the digest of each, so that a second call agrees."""
    order = sorted(rows, key=lambda one: hashlib.sha256(one.form.encode()).digest())
    count = min(max(1, round(share * len(order))), len(order) - 1)
    return order[count:], order[:count]


def _of_feedback(rows: Sequence[Recorded], target: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"feedback {row.id}", {**_texts(row.input), target: row.truth})
        for row in rows
        if row.truth is not None
    ]


def _texts(given: Any) -> dict[str, Any]:
    return dict(given) if isinstance(given, dict) else {"text": given}


def _of_file(
    source: str, known: Mapping[str, Any], target: str, found: Found
) -> list[tuple[str, dict[str, Any]]]:
    """Rows of a CSV (or any format that is recognised); the input is taken from what was recorded
    where the id is known, since spreadsheets change texts."""
    from modelwright.data.sources import BrokenRow
    from modelwright.data.sources._opening import open_source

    opened = open_source(str(existing(source)))
    columns = opened.columns()
    if target not in columns or ("text" not in columns and "id" not in columns):
        raise UserError(
            "MW-654",
            f"{source} has the columns {', '.join(map(str, columns))[:200]}",
            expected=f"`{target}`, and `text` or the `id` of a recorded row",
            fix="use the to-label.csv that this command wrote",
            file=source,
        )
    read = []
    for row in opened.rows():
        place = f"{Path(source).name}:{row.line or row.number + 2}"
        if isinstance(row, BrokenRow):
            found.leave(row.reason, place, row.detail)
            continue
        recorded = known.get(str(row.values.get("id", "")))
        texts = {name: row.values[name] for name in TEXTS if name in row.values}
        texts = texts if recorded is None else _texts(recorded)
        label = row.values.get(target)
        label = label.strip() if isinstance(label, str) else label
        read.append((place, {**texts, target: label}))
    return read
