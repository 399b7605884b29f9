"""Writes the rows of each split as Arrow IPC, in batches of bounded memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modelwright.data.chunks import U64, combine, mix
from modelwright.data.splitting import NAMES
from modelwright.runtime.files import writing_errors

if TYPE_CHECKING:
    from modelwright.data.rowstore import RowStore

_BATCH_ROWS = 32_768


def write_splits(
    folder: Path, rows: RowStore, codes: np.ndarray, divided: frozenset[int], seed: int
) -> dict[str, int]:
    """Write `SPLIT.arrow` for every split that has rows.

    Args:
        folder: the dataset's folder.
        rows: all rows; those alive are written.
        codes: split of each row.
        divided: codes of splits that a pool was divided into; their rows are ordered by content
            (a shuffle that doesn't depend on the file's order), others as in their source.
        seed: of the run.

    Returns:
        Rows by split.
    """
    written = {}
    for code, name in enumerate(NAMES):
        indices = np.flatnonzero(rows.alive & (codes == code))
        if not len(indices):
            continue
        if code in divided:
            keys = combine(rows.content_keys[indices], rows.target_keys[indices])
            keys = mix(keys ^ mix(np.array([seed + 1], U64)))
            indices = indices[np.argsort(keys, kind="stable")]
        with writing_errors(folder):
            _write(folder / f"{name}.arrow", rows, indices)
        written[name] = len(indices)
    return written


def _write(path: Path, rows: RowStore, indices: np.ndarray) -> None:
    import pyarrow as pa

    step = batch_rows(rows)
    writer = None
    try:
        for start in range(0, len(indices), step):
            part = indices[start : start + step]
            table = rows.take(part)
            for name, column in rows.books(part).items():
                table = table.append_column(name, column)
            if writer is None:
                writer = pa.ipc.new_file(str(path), table.schema)
            writer.write_table(table, max_chunksize=step)
    finally:
        if writer is not None:
            writer.close()


def batch_rows(rows: RowStore) -> int:
    """Rows to hold at once: fewer when rows are large."""
    table = rows.table()
    mean_bytes = max(1, table.nbytes // max(1, table.num_rows))
    return int(max(16, min(_BATCH_ROWS, 64_000_000 // mean_bytes)))
