"""What one split must not know of another: equal rows, nearly equal rows, groups, unseen classes.

A row is removed from where it does least harm: from train when validation or test has it too, from
validation when test has it. Test rows are never removed for that reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from modelwright.data.chunks import split_labels
from modelwright.data.splitting import NAMES, TEST, TRAIN, VALIDATION

if TYPE_CHECKING:
    from modelwright.data.account import Account
    from modelwright.data.neighbours import Match, Neighbours
    from modelwright.data.rowstore import RowStore

_EXAMPLES = 5
_THRESHOLD = 0.85
_BY = "cross-split"


class Leaks:
    """Finds and removes leaks; `report` goes into the audit.

    Args:
        rows: all rows.
        codes: split of each row (0 train, 1 validation, 2 test).
        account: where removals are recorded.
        remove: whether to remove rows, or only to report them.
    """

    def __init__(
        self, rows: RowStore, codes: np.ndarray, account: Account, *, remove: bool
    ) -> None:
        self.rows, self.codes, self.account, self.remove = rows, codes, account, remove
        self.report: dict[str, Any] = {"removed": remove}

    def exact(self) -> None:
        """Rows whose input occurs in a later split, whatever their label."""
        self._shared(self.rows.content_keys, "cross-split-duplicate", "duplicates")

    def groups(self) -> None:
        """Rows of a group that a later split has rows of."""
        self._shared(self.rows.groups, "group-in-other-split", "groups")

    def near(self, matches: list[Match]) -> None:
        """Rows nearly equal to one of a later split with the same target."""
        self.report["near_duplicates"] = self._section(
            [(match.row, match.twin) for match in matches],
            "cross-split-near-duplicate",
            [f"{match.similarity:.2f} like" for match in matches],
        )

    def _shared(self, keys: np.ndarray, reason: str, name: str) -> None:
        """Compare keys (0 is none) between splits; test before validation before train."""
        alive = np.flatnonzero(self.rows.alive & (keys != 0))
        order = alive[np.lexsort((-alive, self.codes[alive], keys[alive]))[::-1]]
        starts = np.ones(len(order), bool)
        starts[1:] = keys[order[1:]] != keys[order[:-1]]
        leaders = order[np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))]
        leaking = self.codes[order] != self.codes[leaders]
        pairs = sorted(zip(order[leaking].tolist(), leaders[leaking].tolist(), strict=True))
        self.report[name] = self._section(pairs, reason, ["same as"] * len(pairs))

    def _section(
        self, pairs: list[tuple[int, int]], reason: str, relations: list[str]
    ) -> dict[str, Any]:
        counts: dict[str, int] = {}
        examples = []
        for (row, twin), relation in zip(pairs, relations, strict=True):
            between = f"{NAMES[self.codes[row]]} and {NAMES[self.codes[twin]]}"
            counts[between] = counts.get(between, 0) + 1
            where, other = self.rows.where(row), self.rows.where(twin)
            if len(examples) < _EXAMPLES:
                examples.append({"row": where, "like": other, "between": between})
            if self.remove:
                self.rows.alive[row] = False
                detail = f"{relation} {other} ({NAMES[self.codes[twin]]})"
                self.account.drop(
                    self.rows.place(row),
                    reason,
                    _BY,
                    detail,
                    counts=reason == "group-in-other-split",
                )
        return {"rows": len(pairs), **counts, "examples": examples}

    def unknown_labels(self) -> dict[str, int]:
        """Drop held-out rows with a class that no training row has; rows by class."""
        rows, codes = self.rows, self.codes
        names = [set(split_labels(joined)) for joined in rows.label_names]
        sets = rows.label_sets
        in_train = np.unique(sets[rows.alive & (codes == TRAIN)])
        known = set().union(*(names[code] for code in in_train))
        strange = [code for code, labels in enumerate(names) if labels - known]
        gone = rows.alive & np.isin(codes, (VALIDATION, TEST)) & np.isin(sets, strange)
        counts: dict[str, int] = {}
        for index in np.flatnonzero(gone).tolist():
            unknown = sorted(names[sets[index]] - known)
            for label in unknown:
                counts[label] = counts.get(label, 0) + 1
            rows.alive[index] = False
            detail = f"no training row has {', '.join(unknown)}"
            self.account.drop(rows.place(index), "unknown-label", _BY, detail)
        return counts


def near_pairs(rows: RowStore, codes: np.ndarray, made: Neighbours | None) -> list[Match]:
    """Rows that nearly equal one of a later split and carry the same target.

    Args:
        rows: all rows.
        codes: split of each row.
        made: sketches of some of the rows, if there are any; they are completed.
    """
    from modelwright.data.neighbours import Neighbours

    neighbours = made or Neighbours(_THRESHOLD)
    known = np.zeros(len(rows), bool)
    known[neighbours.known()] = True
    for chunk in rows.chunks():
        new = np.flatnonzero(~known[chunk.indices]).tolist()
        contents = chunk.contents
        neighbours.add([chunk.indices[at] for at in new], [contents[at] for at in new])
    ranks = TEST - codes.astype(np.int64)
    found = neighbours.search(rows.contents, rows.target_keys, among=rows.alive, ranks=ranks)
    return found.matches
