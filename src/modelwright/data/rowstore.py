"""What is known of every row that was read, in compact columns, and the rows themselves on disk.

Memory holds about 50 bytes a row; texts and images lie in a temporary Arrow file beside the result
and are read back by memory mapping.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelwright.artifacts.ledger import Place
from modelwright.runtime.files import writing_errors

if TYPE_CHECKING:
    import pyarrow as pa

    from modelwright.data.chunks import Chunk, RowKind

INDEX = "_index"
NO_LINE = -1
_READ_ROWS = 8192


class Column:
    """A growing numpy array."""

    def __init__(self, dtype: Any) -> None:
        self._held = np.zeros(1024, dtype=dtype)
        self._size = 0

    @property
    def values(self) -> np.ndarray:
        """A view of what was added so far."""
        return self._held[: self._size]

    def extend(self, values: Any) -> None:
        """Append values."""
        end = self._size + len(values)
        if end > len(self._held):
            grown = np.zeros(max(end, len(self._held) * 3 // 2), dtype=self._held.dtype)
            grown[: self._size] = self.values
            self._held = grown
        self._held[self._size : end] = values
        self._size = end


class RowStore:
    """All rows of a run.

    Args:
        folder: where the temporary files go.
        schema: the Arrow schema of a row (task columns and slices).
        kind: what rows are made of.

    Attributes:
        splits: names of the splits that rows were read from, by code.
        alive: whether a row is still in.
        repaired: whether something changed it.
        content_keys, target_keys: see `Chunk`; 0 for rows that are not alive.
        label_sets: number of the row's label set in `label_names`.
        lengths: characters of the input text (0 for images).
        groups: key of the row's group (empty without groups).
    """

    def __init__(self, folder: Path, schema: pa.Schema, kind: RowKind) -> None:
        import pyarrow as pa

        self.kind, self._folder = kind, folder
        self._schema = schema.append(pa.field(INDEX, pa.int64()))
        self.splits: list[str] = []
        self._files: list[str] = []
        self._file_codes: dict[str, int] = {}
        self._split, self._file = Column(np.uint8), Column(np.int32)
        self._number, self._line = Column(np.int64), Column(np.int64)
        self._alive, self._repaired = Column(bool), Column(bool)
        self._content, self._target = Column(np.uint64), Column(np.uint64)
        self._label_set, self._length = Column(np.int32), Column(np.int32)
        self._group = Column(np.uint64)
        self.label_names: list[str] = []
        self._label_codes: dict[str, int] = {}
        self._generation = 0
        self._writer: Any = None
        self._table: pa.Table | None = None
        self._positions: np.ndarray | None = None

    # -- arriving ---------------------------------------------------------------------------------
    def __len__(self) -> int:
        return len(self.alive)

    def arrive(
        self, split: str, numbers: list[int], lines: list[int], files: list[str], groups: list[int]
    ) -> list[int]:
        """Note where rows come from; the index of each."""
        if split not in self.splits:
            self.splits.append(split)
        first, count = len(self), len(numbers)
        for file in set(files) - self._file_codes.keys():
            self._file_codes[file] = len(self._files)
            self._files.append(file)
        codes = self._file_codes
        self._split.extend(np.full(count, self.splits.index(split), np.uint8))
        self._file.extend([codes[file] for file in files])
        self._number.extend(numbers)
        self._line.extend(lines)
        self._group.extend(np.array(groups, dtype=np.uint64))
        self._alive.extend(np.ones(count, bool))
        self._repaired.extend(np.zeros(count, bool))
        for column in (self._content, self._target, self._label_set, self._length):
            column.extend(np.zeros(count, np.int32))
        return list(range(first, first + count))

    def keep(self, chunk: Chunk, *, spill: bool) -> None:
        """Note the keys of rows that passed the cleaners, and write them out."""
        at = np.array(chunk.indices, dtype=np.int64)
        self.content_keys[at] = chunk.content_keys
        self.target_keys[at] = chunk.target_keys
        codes = self._label_codes
        for name in set(chunk.labels) - codes.keys():
            codes[name] = len(self.label_names)
            self.label_names.append(name)
        self.label_sets[at] = [codes[name] for name in chunk.labels]
        if self.kind.task.modality == "text":
            self.lengths[at] = [len(text) for text in chunk.contents]
        if spill and chunk.rows:
            self._spill(chunk)

    def _spill(self, chunk: Chunk) -> None:
        import pyarrow as pa

        with writing_errors(self._folder):
            if self._writer is None:
                self._writer = pa.ipc.new_file(str(self._path(self._generation)), self._schema)
            columns = [
                pa.array([row.get(field.name) for row in chunk.rows], type=field.type)
                for field in self._schema
                if field.name != INDEX
            ]
            columns.append(pa.array(chunk.indices, type=pa.int64()))
            self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def _path(self, generation: int) -> Path:
        return self._folder / f".rows-{generation}.arrow"

    def close_spill(self) -> None:
        """Finish the file of rows; they can be read from now on."""
        if self._writer is None:
            return
        with writing_errors(self._folder):
            self._writer.close()
        self._writer, self._table, self._positions = None, None, None
        if self._generation:
            self._path(self._generation - 1).unlink(missing_ok=True)
        self._generation += 1

    def remove_files(self) -> None:
        """Delete the temporary files."""
        if self._writer is not None:
            self._writer.close()
        self._writer, self._table = None, None
        for generation in (self._generation - 1, self._generation):
            self._path(generation).unlink(missing_ok=True)

    # -- looking back -----------------------------------------------------------------------------
    @property
    def alive(self) -> np.ndarray:
        return self._alive.values

    @property
    def repaired(self) -> np.ndarray:
        return self._repaired.values

    @property
    def content_keys(self) -> np.ndarray:
        return self._content.values

    @property
    def target_keys(self) -> np.ndarray:
        return self._target.values

    @property
    def label_sets(self) -> np.ndarray:
        return self._label_set.values

    @property
    def lengths(self) -> np.ndarray:
        return self._length.values

    @property
    def groups(self) -> np.ndarray:
        return self._group.values

    @property
    def sources(self) -> np.ndarray:
        """Code of the split that a row was read from; an index into `splits`."""
        return self._split.values

    def place(self, index: int) -> Place:
        """Where a row came from."""
        line = int(self._line.values[index])
        return Place(
            self.splits[self._split.values[index]],
            int(self._number.values[index]),
            self._files[self._file.values[index]],
            None if line == NO_LINE else line,
        )

    def where(self, index: int) -> str:
        """A row's place in words: FILE:LINE, or FILE row N."""
        place = self.place(index)
        return f"{place.file}:{place.line}" if place.line else f"{place.file} row {place.row}"

    def books(self, indices: np.ndarray) -> dict[str, pa.Array]:
        """The bookkeeping columns `_row`, `_file`, `_line` of rows."""
        import pyarrow as pa

        lines = self._line.values[indices]
        files = pa.DictionaryArray.from_arrays(
            pa.array(self._file.values[indices]), pa.array(self._files, pa.string())
        )
        return {
            "_row": pa.array(self._number.values[indices]),
            "_file": files.cast(pa.string()),
            "_line": pa.array(lines, mask=lines == NO_LINE),
        }

    def table(self) -> pa.Table:
        """The rows on disk, memory-mapped, in the order of their indices."""
        import pyarrow as pa

        if self._table is None:
            path = self._path(self._generation - 1)
            if self._generation == 0 or not path.is_file():
                return self._schema.empty_table()
            self._table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        return self._table

    def take(self, indices: np.ndarray, columns: list[str] | None = None) -> pa.Table:
        """Rows by index, in the order asked for."""
        import pyarrow as pa

        table = self.table()
        if self._positions is None:
            self._positions = np.full(len(self), -1, np.int64)
            self._positions[table[INDEX].to_numpy()] = np.arange(table.num_rows)
        chosen = table.select(columns) if columns else table.drop_columns([INDEX])
        return chosen.take(pa.array(self._positions[indices]))

    def contents(self, indices: np.ndarray) -> list[Any]:
        """Each row's input, as `Chunk.contents` gives it."""
        table = self.take(indices, list(self.kind.inputs))
        if table.num_columns == 1:
            return table.column(0).to_pylist()
        return [self.kind.content(row) for row in table.to_pylist()]

    def chunks(self) -> Iterator[Chunk]:
        """The rows on disk that are alive, again in chunks of one split."""
        from modelwright.data.chunks import Chunk

        for batch in self.table().to_batches(max_chunksize=_READ_ROWS):
            indices = batch.column(batch.num_columns - 1).to_numpy()
            left = np.flatnonzero(self.alive[indices])
            if not len(left):
                continue
            rows = batch.drop_columns([INDEX]).take(left).to_pylist()
            at = indices[left]
            split = self.splits[self.sources[at[0]]]
            yield Chunk(self.kind, split, rows, at.tolist())
