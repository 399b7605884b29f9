"""From a source's rows to chunks of canonical rows; what cannot be used goes to the ledger."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelwright.artifacts.dataset import SLICE_PREFIX
from modelwright.artifacts.ledger import Place
from modelwright.data.chunks import Chunk, RowKind
from modelwright.data.rowstore import NO_LINE, RowStore
from modelwright.data.sources import BrokenRow, RawRow, Source
from modelwright.tasks import RowProblem

if TYPE_CHECKING:
    from modelwright.data.account import Account
    from modelwright.data.columns import Columns
    from modelwright.tasks import Row

CHUNK_ROWS = 8192
CHUNK_UNITS = 16_000_000
"""Characters or bytes at which a chunk is full before it has `CHUNK_ROWS` rows."""
_LOOK_ROWS = 1000


@dataclass(frozen=True)
class Input:
    """A source that gives one split (`source`: a pool that is still to be divided)."""

    split: str
    source: Source
    columns: Columns


def holds_lists(entry: Input, role: str) -> bool:
    """Whether a column holds lists, judged by the first rows."""
    column = entry.columns.roles.get(role)
    if column is None:
        return False
    rows = itertools.islice(entry.source.rows(), _LOOK_ROWS)
    return any(
        isinstance(row.values.get(column), (list, tuple)) for row in rows if isinstance(row, RawRow)
    )


class Reader:
    """Reads the inputs one after the other.

    Args:
        kind: what a row is made of.
        options: the task's options.
        rows: where rows are counted in.
        account: where unusable rows are recorded.
    """

    def __init__(
        self, kind: RowKind, options: dict[str, Any], rows: RowStore, account: Account
    ) -> None:
        self.kind, self.options, self.rows, self.account = kind, options, rows, account

    def chunks(self, entry: Input) -> Iterator[Chunk]:
        """The rows of one input."""
        canonical, options, first = self.kind.task.canonical, self.options, self.kind.inputs[0]
        values_of, slices = self._values_reader(entry), _slice_names(entry)
        batch = _Batch()
        for item in entry.source.rows():
            try:
                if isinstance(item, BrokenRow):
                    raise RowProblem(item.reason, item.detail)
                found = canonical(values_of(item.values), options)
            except RowProblem as problem:
                self._refuse(entry, item, problem)
                continue
            row = found.row
            for key, name in slices:
                row[key] = slice_value(item.values.get(name))
            if item.repairs or found.repairs:
                batch.repairs.append((len(batch.rows), [*item.repairs, *found.repairs]))
            batch.rows.append(row)
            batch.items.append(item)
            value = row[first]
            batch.units += len(value) if isinstance(value, (str, bytes)) else 100
            if len(batch.rows) >= CHUNK_ROWS or batch.units >= CHUNK_UNITS:
                yield self._chunk(entry, batch)
                batch = _Batch()
        if batch.rows:
            yield self._chunk(entry, batch)

    def _values_reader(self, entry: Input) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """A function from a source's row to values by role."""
        pairs = list(entry.columns.roles.items())
        names = entry.columns.names or {}
        codes = [(role, names[column]) for role, column in pairs if column in names]
        if not codes:
            return lambda raw: {role: raw.get(column) for role, column in pairs}

        def values_of(raw: dict[str, Any]) -> dict[str, Any]:
            values = {role: raw.get(column) for role, column in pairs}
            for role, classes in codes:
                values[role] = name_codes(values[role], classes)
            return values

        return values_of

    def _refuse(self, entry: Input, item: RawRow | BrokenRow, problem: RowProblem) -> None:
        self.account.ledger.arrived()
        place = Place(entry.split, item.number, item.file, item.line)
        by = "source" if isinstance(item, BrokenRow) else "task"
        self.account.drop(place, problem.reason, by, problem.detail)

    def _chunk(self, entry: Input, batch: _Batch) -> Chunk:
        rows, items = batch.rows, batch.items
        self.account.ledger.arrived(len(rows))
        column = entry.columns.groups
        indices = self.rows.arrive(
            entry.split,
            [item.number for item in items],
            [NO_LINE if item.line is None else item.line for item in items],
            [item.file for item in items],
            [0 if column is None else group_key(item.values.get(column)) for item in items],
        )
        for position in surrogates(rows):
            rows[position] = without_surrogates(rows[position])
            batch.repairs.append((position, ["invalid-unicode"]))
        for position, reasons in batch.repairs:
            self.rows.repaired[indices[position]] = True
            place = self.rows.place(indices[position])
            for reason in reasons:
                self.account.repair(place, reason, "source")
        return Chunk(self.kind, entry.split, rows, indices)


class _Batch:
    """Rows and where they came from, while a chunk fills."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.items: list[RawRow] = []
        self.repairs: list[tuple[int, list[str]]] = []
        self.units = 0


def _slice_names(entry: Input) -> list[tuple[str, str]]:
    return [(SLICE_PREFIX + name, name) for name in entry.columns.slices]


def name_codes(value: Any, names: Any) -> Any:
    """Class names for integer codes; anything else is left as it is.

    Raises:
        RowProblem: a code without a name (-1 is how public sets mark hidden labels).
    """
    if isinstance(value, (list, tuple)):
        return [name_codes(item, names) for item in value]
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal() and value not in names:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int):
        return value
    if 0 <= value < len(names):
        return names[value]
    if value == -1:
        raise RowProblem("missing-label", "the label is -1 (hidden)")
    raise RowProblem("unknown-code", f"label {value}; the source names {len(names)} classes")


def slice_value(value: Any) -> str | None:
    """A slice column's value as text; None where there is none."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    return str(value)


def group_key(value: Any) -> int:
    """A number for a group; rows without a value (0) are each their own group."""
    text = slice_value(value)
    if text is None:
        return 0
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def surrogates(rows: list[Row]) -> list[int]:
    """Positions of rows with halves of surrogate pairs, which no file can hold."""
    if _encodable(rows):
        return []
    return [at for at, row in enumerate(rows) if not _encodable([row])]


def _encodable(rows: list[Row]) -> bool:
    try:
        for row in rows:
            for value in row.values():
                if isinstance(value, str):
                    if not value.isascii():
                        value.encode()
                elif isinstance(value, list):
                    "".join(item for item in value if isinstance(item, str)).encode()
    except UnicodeEncodeError:
        return False
    return True


def without_surrogates(row: Row) -> Row:
    """The row with U+FFFD in place of every lone half of a surrogate pair."""

    def mended(value: Any) -> Any:
        if isinstance(value, str):
            return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in value)
        return [mended(item) for item in value] if isinstance(value, list) else value

    return {key: mended(value) for key, value in row.items()}
