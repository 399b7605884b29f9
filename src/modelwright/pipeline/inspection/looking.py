"""One look at the data: from what the user named to everything that a recipe needs."""

from __future__ import annotations

from collections import Counter

from modelwright import plugs
from modelwright.data.sources import Source
from modelwright.data.sources._opening import open_source, recognise
from modelwright.encoders.language import main_language
from modelwright.pipeline.inspection.columns import TableFacts, read_facts
from modelwright.pipeline.inspection.draft import Seen
from modelwright.pipeline.inspection.guess import Guess, guess
from modelwright.pipeline.inspection.splits import find_splits


def look(location: str, task: str | None = None) -> Seen:
    """Look at data.

    Args:
        location: file, folder, glob or URL.
        task: what the user says it is for; guessed when None.

    Raises:
        UserError: MW-201 (not recognised, several data sets), MW-202 (no fitting column),
            MW-203 (no row), MW-804 (nothing there), MW-105 (unknown task).
    """
    files = find_splits(location)
    kind = recognise(files.training)
    source = open_source(files.training, kind, _quick_options(kind))
    table = read_facts(source)
    found = guess(table, task, files.training)
    language = _language(table, found)
    return Seen(location, files, kind, table, found, language, _labels(table, found, source))


def _quick_options(kind: str) -> dict[str, object]:
    """Don't decode images only to count them."""
    return {"verify": False} if "verify" in plugs.load("source", kind).config.model_fields else {}


def _language(table: TableFacts, found: Guess) -> str:
    column = table.find(found.columns.get("text"))
    if column is not None:
        return main_language(column.texts)[0]
    column = table.find(found.columns.get("tokens"))
    if column is not None:
        return main_language([" ".join(column.pieces.get("[]", ()))])[0]
    return ""


def _labels(table: TableFacts, found: Guess, source: Source) -> Counter[str]:
    """Rows by class; entities by type for tags; nothing for numbers."""
    roles = ("label", "tags", "spans")
    name = next((found.columns[role] for role in roles if role in found.columns), None)
    column = table.find(name)
    if column is None:
        return Counter()
    if "spans" in found.columns:
        return column.pieces.get("[]", Counter())
    if found.options.get("multi_label"):
        separator = str(found.options.get("separator", "[]"))
        whole = Counter({name: n for name, n in column.counts.items() if separator not in name})
        return whole + column.pieces.get(separator, Counter())
    if "tags" in found.columns:
        starts = {name: n for name, n in column.pieces.get("[]", Counter()).items() if name != "O"}
        types: Counter[str] = Counter()
        for name, rows in starts.items():
            prefix, _, kind = name.partition("-")
            if prefix in {"B", "S", "U"} or not kind:
                types[kind or name] += rows
        return types
    names = source.label_names().get(column.name)
    if names:
        return Counter({_named(names, code): rows for code, rows in column.counts.items()})
    return Counter(column.counts)


def _named(names: list[str], code: str) -> str:
    return names[int(code)] if code.isdigit() and int(code) < len(names) else code
