"""Runs the cleaners over the rows, in the order of the recipe.

Cleaners that decide at once share one pass. One that must see all rows first ends a pass; the
cleaners after it read the rows again from disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from modelwright import plugs
from modelwright.data.cleaners import Cleaner, Surroundings
from modelwright.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from modelwright.data.account import Account
    from modelwright.data.chunks import Chunk
    from modelwright.data.rowstore import RowStore
    from modelwright.recipe.schema import Part

HELD_OUT = ("validation", "test")


def make_cleaners(parts: Sequence[Part], rows: RowStore) -> list[tuple[str, Cleaner]]:
    """The cleaners that a recipe names, ready to run.

    Raises:
        UserError: MW-105 for an unknown name, MW-102 for wrong options, MW-106 for a cleaner of
            another modality.
    """
    around = Surroundings(rows.kind, rows.place)
    made = []
    for part in parts:
        plug = plugs.load("cleaner", part.name)
        modality = rows.kind.task.modality
        if modality not in plug.cls.modalities:
            raise UserError(
                "MW-106",
                f"the cleaner `{part.name}` cleans {' and '.join(plug.cls.modalities)}; "
                f"the rows of {rows.kind.task.name} are {modality}",
                fix=f"remove `{part.name}` from `data.clean`",
            )
        made.append((part.name, plug.cls(_config(plug, part), around)))
    return made


def _config(plug: plugs.Plug, part: Part) -> Any:
    from pydantic import ValidationError

    try:
        return plug.config.model_validate(part.options)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        known = list(plug.config.model_fields)
        raise UserError(
            "MW-102",
            f"`data.clean`: {part.name}: `{key}`: {first['msg']}",
            expected=f"options of {part.name}: {', '.join(known) or 'none'}",
            fix=did_you_mean(key, known) if known else "remove the option",
        ) from error


def clean(
    chunks: Iterable[Chunk],
    cleaners: Sequence[tuple[str, Cleaner]],
    rows: RowStore,
    account: Account,
) -> None:
    """Pass all rows through the cleaners and on to disk."""
    stream = iter(chunks)
    for number, together in enumerate(passes(cleaners)):
        spill = number == 0 or any(cleaner.changes for _, cleaner in together)
        for chunk in stream:
            for name, cleaner in together:
                _show(name, cleaner, chunk, rows, account)
            rows.keep(chunk, spill=spill)
        rows.close_spill()
        for name, cleaner in together:
            _finish(name, cleaner, rows, account)
        stream = rows.chunks()


def passes(
    cleaners: Sequence[tuple[str, Cleaner]],
) -> Iterator[list[tuple[str, Cleaner]]]:
    """Cleaners that can run in one pass, at least one pass."""
    together: list[tuple[str, Cleaner]] = []
    for number, (name, cleaner) in enumerate(cleaners):
        together.append((name, cleaner))
        if cleaner.decides_late and number + 1 < len(cleaners):
            yield together
            together = []
    yield together


def _show(name: str, cleaner: Cleaner, chunk: Chunk, rows: RowStore, account: Account) -> None:
    if not chunk.rows or (chunk.split in HELD_OUT and not cleaner.held_out):
        return
    cleaner.see(chunk)
    for index, reason in chunk.repaired:
        rows.repaired[index] = True
        account.repair(rows.place(index), reason, name)
    for index, reason, detail in chunk.dropped:
        rows.alive[index] = False
        account.drop(rows.place(index), reason, name, detail, counts=cleaner.counts)
    chunk.settle()


def _finish(name: str, cleaner: Cleaner, rows: RowStore, account: Account) -> None:
    for drop in cleaner.finish(rows):
        if not rows.alive[drop.index]:
            continue
        rows.alive[drop.index] = False
        account.drop(
            rows.place(drop.index),
            drop.reason,
            name,
            drop.detail,
            counts=cleaner.counts,
        )
