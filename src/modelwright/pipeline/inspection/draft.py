"""A commented recipe for what was seen, and the few lines that tell a person what that was."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.pipeline.inspection.columns import TableFacts
from modelwright.pipeline.inspection.guess import Guess
from modelwright.pipeline.inspection.splits import ROLES, SplitFiles
from modelwright.recipe.emit import inline, text

LANGUAGES = {"zh": "Chinese", "en": "English"}
_GENERIC = {"data", "dataset", "train", "training", "rows", "all"}
_COLUMN = 44


@dataclass
class Seen:
    """Everything that was found out.

    Attributes:
        location: what the user named.
        files: of each split.
        format: name of the source that reads them.
        table: facts of the training rows.
        guess: the task and its columns.
        language: two-letter code, or "" for images.
        labels: rows by class.
    """

    location: str
    files: SplitFiles
    format: str
    table: TableFacts
    guess: Guess
    language: str
    labels: Counter[str]

    @property
    def is_chinese(self) -> bool:
        return self.language == "zh"


def lines_for_people(seen: Seen) -> list[str]:
    """What was seen, one fact a line."""
    table = seen.table
    rows = f"{table.rows:,} rows" + ("" if table.whole else " (the first ones)")
    if table.broken:
        rows += f", {table.broken:,} unreadable"
    found = [f"format {seen.format}; {rows}"]
    if seen.files.files:
        named = (f"{role}: {Path(file).name}" for role, file in seen.files.files.items())
        found.append("splits by file name: " + ", ".join(named))
    if seen.files.beside:
        found.append(f"beside it: {', '.join(seen.files.beside)}; name the folder to use them")
    found.append("columns: " + ", ".join(column.name for column in table.columns))
    roles = ", ".join(f"{role} = {column}" for role, column in seen.guess.columns.items())
    found.append(f"task {seen.guess.task}: {roles}")
    if seen.language:
        found.append(f"language: {LANGUAGES.get(seen.language, seen.language)}")
    if seen.labels:
        is_tagging = seen.guess.task == "token-classification"
        found.append(balance(seen.labels, "entities" if is_tagging else "rows"))
    target = table.find(seen.guess.columns.get("target"))
    if target is not None:
        found.append(f"{target.name}: from {target.low:g} to {target.high:g}")
    return found


def balance(labels: Counter[str], of: str) -> str:
    """How many classes, the largest and the smallest; `of` is what is counted."""
    ranked = labels.most_common()
    (first, most), (last, least) = ranked[0], ranked[-1]
    if len(ranked) <= 6:
        said = f"{of} by class: " + ", ".join(f"{name}: {count:,}" for name, count in ranked)
    elif most == least:
        said = f"{len(ranked)} classes of {most:,} {of}"
    else:
        said = f"{len(ranked)} classes, from {least:,} {of} (`{last}`) to {most:,} (`{first}`)"
    return said + ("; unbalanced" if most > 10 * least else "")


def recipe_text(seen: Seen, recipe: Path) -> str:
    """The recipe, to be written at `recipe`; its paths are relative to that place."""
    guess = seen.guess
    rows: list[tuple[str, str]] = [
        (f"name: {name_of(seen.location)}", ""),
        (f"task: {_task(guess)}", "see `mw list tasks`"),
        ("effort: standard", "quick | standard | thorough: derives what is not written here"),
        ("", ""),
        ("data:", ""),
        *_data(seen, recipe.resolve().parent),
        ("", ""),
        *_base(seen),
        *_training(seen),
    ]
    head = [f"# Written by `mw new` for {seen.location}. What it saw:"]
    head += [f"#   {line}" for line in lines_for_people(seen)]
    head += [f"# Not sure: {doubt}." for doubt in guess.doubts]
    head += ["# Every value with its origin: mw explain; what a run will cost: mw plan.", ""]
    body = [f"{line:<{_COLUMN}}  # {why}" if why else line for line, why in rows]
    return "\n".join([*head, *body]) + "\n"


def _task(guess: Guess) -> str:
    return inline({guess.task: guess.options}) if guess.options else guess.task


def _data(seen: Seen, folder: Path) -> list[tuple[str, str]]:
    files = seen.files
    rows: list[tuple[str, str]] = []
    if files.source is not None:
        rows.append((f"  source: {text(_relative(files.source, folder))}", ""))
    rows.append((f"  format: {seen.format}", "auto finds it out on every run"))
    rows.append((f"  columns: {inline(seen.guess.columns)}", ""))
    rows.append(("  splits:", ""))
    for role in ROLES:
        if role in files.files:
            rows.append((f"    {role}: {text(_relative(files.files[role], folder))}", ""))
        elif role != "train":
            why = (
                "share of the training rows"
                if role == "validation"
                else "share kept for the report"
            )
            rows.append((f"    {role}: 0.1", why))
    if seen.guess.slices:
        rows.append(
            (f"  # slices: {inline(seen.guess.slices)}", "compares results by these columns")
        )
    return rows


def _base(seen: Seen) -> list[tuple[str, str]]:
    if not seen.language:
        return [("# base: scratch:small", "derived for images; or a hub id, a folder")]
    if seen.language == "en":
        return [("# base: minilm-l6", "derived for English; or a hub id, a folder, scratch:small")]
    return [
        ("# base: scratch:small", "derived for this language; a hub id or a folder may do better")
    ]


def _training(seen: Seen) -> list[tuple[str, str]]:
    if seen.labels and len(seen.labels) > 1:
        ranked = seen.labels.most_common()
        if ranked[0][1] > 10 * ranked[-1][1] and seen.guess.task.endswith("-classification"):
            why = "the classes are unbalanced: rare ones would weigh more"
            return [("# finetune: {class_weights: balanced}", why)]
    return []


def _relative(location: str, folder: Path) -> str:
    """As the recipe writes it: absolute stays absolute, the rest is relative to the recipe."""
    if "://" in location or os.path.isabs(location) or location.startswith("~"):
        return location
    return os.path.relpath(os.path.abspath(location), folder)


def name_of(location: str) -> str:
    """A name for the run from the data's: letters, digits and -."""
    bare = location.split("?", 1)[0].rstrip("/")
    for part in reversed(re.split(r"[/\\]", bare)):
        stem = re.split(r"\.(?=[A-Za-z])", part, maxsplit=1)[0] if part not in {".", ".."} else ""
        slug = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:48].rstrip("-").lower()
        if slug and slug not in _GENERIC:
            return slug
    return "my-run"


def as_dict(seen: Seen) -> dict[str, Any]:
    """For `--json`."""
    return {
        "data": seen.location,
        "format": seen.format,
        "rows": seen.table.rows,
        "rows_are_all": seen.table.whole,
        "splits": seen.files.files,
        "task": seen.guess.task,
        "options": seen.guess.options,
        "columns": seen.guess.columns,
        "language": seen.language,
        "labels": dict(seen.labels.most_common(1000)),
        "doubts": seen.guess.doubts,
    }
