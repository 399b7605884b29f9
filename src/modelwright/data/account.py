"""The ledger, with what the gate needs besides: examples, and which reasons count."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright.artifacts.ledger import Ledger, Place
from modelwright.errors import GateError

if TYPE_CHECKING:
    from modelwright.data.rowstore import RowStore

LEDGER_FILES = ("ledger.jsonl", "ledger.json")
_EXAMPLE_CHARACTERS = 80


@dataclass
class Account:
    """Records what happens to rows.

    Attributes:
        ledger: where it is written.
        examples: the first row dropped for each reason, and what was seen.
        uncounted: reasons that don't count towards the limit (duplicates).
    """

    ledger: Ledger
    examples: dict[str, tuple[Place, str]] = field(default_factory=dict)
    uncounted: set[str] = field(default_factory=set)

    def drop(
        self, place: Place, reason: str, by: str, detail: str = "", *, counts: bool = True
    ) -> None:
        """Record a row set aside, and whether that counts towards the limit."""
        self.ledger.drop(place, reason, by, detail)
        if not counts:
            self.uncounted.add(reason)
        if reason not in self.examples:
            self.examples[reason] = (place, detail)

    def repair(self, place: Place, reason: str, by: str) -> None:
        """Record a row changed."""
        self.ledger.repair(place, reason, by)

    @property
    def unusable(self) -> Counter[str]:
        """Rows dropped for a reason of their own, by reason."""
        return Counter({r: n for r, n in self.ledger.dropped.items() if r not in self.uncounted})

    def settle(self, rows: RowStore) -> None:
        """Count what is left and write the ledger."""
        self.ledger.keep(int(rows.alive.sum()))
        self.ledger.repaired_rows = int((rows.repaired & rows.alive).sum())
        self.ledger.close()

    def example(self, reason: str) -> str:
        """`FILE:LINE (what was seen)` of the first row dropped for a reason."""
        place, detail = self.examples[reason]
        where = f"{place.file}:{place.line}" if place.line else f"{place.file} row {place.row}"
        if len(detail) > _EXAMPLE_CHARACTERS:
            detail = detail[:_EXAMPLE_CHARACTERS] + "..."
        return f"{where} ({detail})" if detail else where

    def reasons(self, counts: Counter[str]) -> str:
        """`missing-label 12, empty-text 3`."""
        return ", ".join(f"{reason} {count:,}" for reason, count in counts.most_common())

    def check(self, limit: float) -> None:
        """Stop when more rows are unusable than the limit allows.

        Raises:
            GateError: MW-204, with the reasons, an example and the limit that would do.
        """
        counts, rows_in = self.unusable, self.ledger.rows_in
        gone = counts.total()
        if not gone or gone / rows_in <= limit:
            return
        biggest = counts.most_common(1)[0][0]
        needed = min(1.0, -(-gone * 100 // rows_in) / 100)
        raise GateError(
            "MW-204",
            f"{gone:,} of {rows_in:,} rows ({gone / rows_in:.1%}) cannot be used: "
            f"{self.reasons(counts)}; the first {biggest} is {self.example(biggest)}",
            expected=f"at most {limit:.1%} (`data.limits.dropped: {limit:g}`); "
            "duplicates are not counted",
            fix=f"mend the rows that ledger.jsonl lists, or set `data.limits.dropped: {needed:g}`",
        )


def rescue(output: Path, to: Path | None) -> None:
    """Copy the ledger to a folder that outlives a failed run."""
    if to is None or to.resolve() == output.resolve():
        return
    to.mkdir(parents=True, exist_ok=True)
    for name in LEDGER_FILES:
        if (output / name).is_file():
            shutil.copyfile(output / name, to / name)
