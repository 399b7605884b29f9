"""A Dataset: cleaned rows by split, memory-mapped, in the task's canonical columns.

    dataset-KEY/
      train.arrow validation.arrow test.arrow   Arrow IPC files
      dataset.json                              task, labels, language, audit
      ledger.jsonl ledger.json

Beside the task's columns every row carries `_row` (int64, its number in the source split),
`_file` (string) and `_line` (int64 or null), and the user's slice columns as `slice:NAME`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelwright.errors import UserError
from modelwright.runtime.files import read_json, write_json

if TYPE_CHECKING:
    import pyarrow as pa

SPLITS = ("train", "validation", "test")
SLICE_PREFIX = "slice:"
TUNING_SHARE, LEAST_TUNING, MOST_TUNING = 0.2, 20, 1_000
"""Few go to choices: more of them would say little more, while the proof's interval narrows with
every row that it gets."""


@dataclass
class DatasetInfo:
    """What is known of a dataset besides its rows.

    Attributes:
        task: the task's name.
        labels: class names in index order (empty for regression).
        multi_label: whether a row may carry several labels.
        language: two-letter code of the text's main language, or "" for images.
        rows: rows by split.
        columns: the user's column for each role of the task.
        slices: the user's columns kept for slicing.
        facts: task-specific facts (mean and longest length, image size, target range, ...).
        audit: the label audit.
        normal: normalisation that the texts went through, and the inputs of a model must; None
            without one.
    """

    task: str
    labels: list[str]
    multi_label: bool = False
    language: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    slices: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    audit: dict[str, Any] = field(default_factory=dict)
    normal: dict[str, bool] | None = None


class Dataset:
    """An opened dataset folder."""

    def __init__(self, folder: Path, info: DatasetInfo) -> None:
        self.folder, self.info = folder, info

    @classmethod
    def open(cls, folder: Path) -> Dataset:
        """Open a folder written by `write_info` and `SplitWriter`; MW-604 when damaged."""
        try:
            return cls(folder, DatasetInfo(**read_json(folder / "dataset.json")))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(
                "MW-604",
                f"not a dataset: {error}",
                expected="a folder that the data stage wrote",
                fix="delete it and run again",
                file=str(folder),
            ) from error

    def table(self, split: str) -> pa.Table:
        """The rows of a split as a memory-mapped Arrow table (empty without such a split)."""
        import pyarrow as pa

        path = self.folder / f"{split}.arrow"
        if not path.is_file():
            return pa.table({})
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()

    def rows(self, split: str) -> list[dict[str, Any]]:
        """The rows of a split as dictionaries; for splits that fit in memory."""
        return self.table(split).to_pylist()

    def tuning_and_certification(
        self, seed: int
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The validation rows in two parts, drawn with the seed: for choices, and for a proof that
        must not have seen them (docs/decisions/012).

        Returns:
            `tuning_share` of the rows for choices, and the others.
        """
        rows = self.rows("validation")
        order = np.random.default_rng((seed, 2)).permutation(len(rows))
        cut = tuning_share(len(rows))
        return [rows[i] for i in sorted(order[:cut])], [rows[i] for i in sorted(order[cut:])]


def tuning_share(rows: int) -> int:
    """Of so many validation rows, those for choices: a fifth, 20 at least, 1,000 at most."""
    return min(rows, MOST_TUNING, max(LEAST_TUNING, round(TUNING_SHARE * rows)))


class SplitWriter:
    """Appends rows to `SPLIT.arrow` in batches of bounded memory.

    Args:
        folder: the dataset's folder.
        split: train, validation or test.
        schema: the Arrow schema of the rows.
    """

    def __init__(self, folder: Path, split: str, schema: pa.Schema) -> None:
        import pyarrow as pa

        self.rows = 0
        self._schema = schema
        self._writer = pa.ipc.new_file(str(folder / f"{split}.arrow"), schema)

    def write(self, rows: Iterable[dict[str, Any]]) -> None:
        """Append one batch."""
        import pyarrow as pa

        batch = pa.RecordBatch.from_pylist(list(rows), schema=self._schema)
        self._writer.write_batch(batch)
        self.rows += batch.num_rows

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


def write_info(folder: Path, info: DatasetInfo) -> None:
    """Write `dataset.json`."""
    write_json(folder / "dataset.json", asdict(info))
