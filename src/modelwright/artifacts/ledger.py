"""The account of every input row: kept, repaired, or dropped and why.

`ledger.jsonl` holds one object for each row not passed on unchanged; `ledger.json` the sums, for
which `in = kept + sum(dropped)` holds always (`repaired` rows are among the kept).
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from modelwright.errors import InternalError
from modelwright.runtime.files import write_json, writing_errors

Action = Literal["repaired", "dropped"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row came from: split asked for, row number (from 0), file and its line (from 1)."""

    split: str
    row: int
    file: str
    line: int | None = None


class Ledger:
    """Counts rows and writes the entries as they come.

    Args:
        folder: where `ledger.jsonl` and `ledger.json` are written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows_in = 0
        self.kept = 0
        self.repaired_rows = 0
        self.dropped: Counter[str] = Counter()
        self.repairs: Counter[str] = Counter()
        self._file = (folder / "ledger.jsonl").open("w", encoding="utf-8", newline="\n")

    def arrived(self, rows: int = 1) -> None:
        """Count rows that came in."""
        self.rows_in += rows

    def keep(self, rows: int = 1) -> None:
        """Count rows that were passed on."""
        self.kept += rows

    def drop(self, place: Place, reason: str, by: str, detail: str = "") -> None:
        """Record a row that was set aside; `reason` is a short stable slug."""
        self.dropped[reason] += 1
        self._write(place, "dropped", reason, by, detail)

    def repair(self, place: Place, reason: str, by: str, detail: str = "") -> None:
        """Record a change made to a row (a row may be repaired more than once)."""
        self.repairs[reason] += 1
        self._write(place, "repaired", reason, by, detail)

    def _write(self, place: Place, action: Action, reason: str, by: str, detail: str) -> None:
        entry: dict[str, object] = {
            "split": place.split,
            "row": place.row,
            "file": place.file,
            "line": place.line,
            "action": action,
            "reason": reason,
            "by": by,
        }
        if detail:
            entry["detail"] = detail
        with writing_errors(self.folder):
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def totals(self) -> dict[str, object]:
        """The content of `ledger.json`."""
        return {
            "in": self.rows_in,
            "kept": self.kept,
            "repaired": self.repaired_rows,
            "dropped": dict(sorted(self.dropped.items())),
            "repairs": dict(sorted(self.repairs.items())),
        }

    def close(self) -> None:
        """Write the sums; InternalError when a row is unaccounted for."""
        self._file.close()
        gone = sum(self.dropped.values())
        if self.rows_in != self.kept + gone:
            raise InternalError(f"ledger: {self.rows_in} in, {self.kept} kept, {gone} dropped")
        write_json(self.folder / "ledger.json", self.totals())

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._file.close()
