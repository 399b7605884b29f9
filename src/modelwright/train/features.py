"""Training examples as arrays: encoded once, kept in ragged columns, memory-mapped.

features/
  input_ids.values.npy  input_ids.bounds.npy    a ragged column of integers
  pixels.npy                                    a dense column
  targets.values.npy    targets.bounds.npy      what the loss compares with
  columns.json
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.runtime.files import read_json, write_json
from modelwright.runtime.progress import track
from modelwright.tasks import Features, Row, Task

CHUNK = 2048
IGNORED = -100
_KEPT = ("input_ids", "token_type_ids", "positions", "pixels")


class FeatureTable:
    """Rows of features with random access; columns may be memory-mapped."""

    def __init__(self, columns: dict[str, Any], rows: int) -> None:
        self._columns, self.rows = columns, rows

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> Features:
        return {name: _cell(column, index) for name, column in self._columns.items()}

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of every row (1 for images)."""
        column = self._columns.get("input_ids")
        return np.ones(self.rows, dtype=np.int64) if column is None else np.diff(column[1])

    def used_ids(self) -> np.ndarray:
        """Distinct token ids, sorted."""
        return np.unique(self._columns["input_ids"][0])

    def map_ids(self, table: np.ndarray) -> FeatureTable:
        """The same rows with every token id replaced by `table[id]`."""
        values, bounds = self._columns["input_ids"]
        columns = dict(self._columns)
        columns["input_ids"] = (table[values], bounds)
        return FeatureTable(columns, self.rows)

    def joined(self, other: FeatureTable) -> FeatureTable:
        """The rows of both, with the columns of this one."""
        columns: dict[str, Any] = {}
        for name, column in self._columns.items():
            more = other._columns[name]
            if isinstance(column, tuple):
                values = np.concatenate([column[0], more[0]])
                columns[name] = values, np.concatenate([column[1], more[1][1:] + column[1][-1]])
            else:
                columns[name] = np.concatenate([column, more.astype(column.dtype)])
        return FeatureTable(columns, self.rows + other.rows)

    def select(self, index: Sequence[int]) -> list[Features]:
        """Some rows as a list."""
        return [self[i] for i in index]

    def save(self, folder: Path) -> None:
        """Write all columns."""
        folder.mkdir(parents=True, exist_ok=True)
        kinds: dict[str, str] = {}
        for name, column in self._columns.items():
            if isinstance(column, tuple):
                kinds[name] = "ragged"
                np.save(folder / f"{name}.values.npy", column[0])
                np.save(folder / f"{name}.bounds.npy", column[1])
            else:
                kinds[name] = "dense"
                np.save(folder / f"{name}.npy", column)
        write_json(folder / "columns.json", {"rows": self.rows, "columns": kinds})

    @classmethod
    def open(cls, folder: Path) -> FeatureTable:
        """Open what `save` wrote, memory-mapped."""
        stored = read_json(folder / "columns.json")
        columns: dict[str, Any] = {}
        for name, kind in stored["columns"].items():
            if kind == "ragged":
                columns[name] = (
                    np.load(folder / f"{name}.values.npy", mmap_mode="r"),
                    np.load(folder / f"{name}.bounds.npy"),
                )
            else:
                columns[name] = np.load(folder / f"{name}.npy", mmap_mode="r")
        return cls(columns, stored["rows"])


def encode_table(
    rows: Iterable[Row], total: int, task: Task, encoder: Any, title: str
) -> FeatureTable:
    """Encode rows chunk by chunk (tokenizers use every core) into a table."""
    parts: dict[str, list[Any]] = {}
    count = 0
    chunk: list[Row] = []

    def flush() -> None:
        nonlocal count
        inputs = [task.example(row) for row in chunk]
        for feature in task.encode(inputs, encoder):
            feature["targets"] = task.target(chunk[feature["example"]], feature)
            for name in (*_KEPT, "targets"):
                if name in feature:
                    parts.setdefault(name, []).append(np.asarray(feature[name]))
            count += 1
        chunk.clear()

    for row in track(rows, title, total):
        chunk.append(row)
        if len(chunk) == CHUNK:
            flush()
    if chunk:
        flush()
    return FeatureTable({name: _column(name, cells) for name, cells in parts.items()}, count)


def _column(name: str, cells: list[np.ndarray]) -> Any:
    if name == "pixels" or all(cell.ndim == 0 for cell in cells):
        return np.stack(cells)
    if name == "targets" and cells[0].dtype.kind == "f":
        return np.stack(cells)
    bounds = np.zeros(len(cells) + 1, dtype=np.int64)
    np.cumsum([len(cell) for cell in cells], out=bounds[1:])
    return np.concatenate(cells).astype(np.int32), bounds


def _cell(column: Any, index: int) -> Any:
    if isinstance(column, tuple):
        values, bounds = column
        return values[bounds[index] : bounds[index + 1]]
    return column[index]


def collate_targets(features: Sequence[Features], width: int) -> np.ndarray:
    """Targets of a batch: stacked, or padded to `width` with IGNORED."""
    targets = [feature["targets"] for feature in features]
    first = np.asarray(targets[0])
    if first.ndim == 0 or first.dtype.kind == "f":
        stacked = np.stack([np.asarray(target) for target in targets])
        return stacked.astype(np.float32 if stacked.dtype.kind == "f" else np.int64)
    padded = np.full((len(targets), width), IGNORED, dtype=np.int64)
    for row, target in enumerate(targets):
        padded[row, : len(target)] = target
    return padded
