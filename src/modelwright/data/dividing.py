"""From cleaned rows to splits that may be learnt from: divide, remove leaks, check the limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from modelwright.data.chunks import combine
from modelwright.data.leaks import Leaks, near_pairs
from modelwright.data.splitting import (
    NAMES,
    TRAIN,
    VALIDATION,
    Wanted,
    check_fractions,
    divide,
    strata,
    wanted,
    wanted_for_proof,
)
from modelwright.errors import UserError

if TYPE_CHECKING:
    from modelwright.data.account import Account
    from modelwright.data.cleaners import Cleaner
    from modelwright.data.reading import Input
    from modelwright.data.rowstore import RowStore
    from modelwright.data.stage import DataRequest

HELD_OUT = ("validation", "test")


@dataclass(frozen=True)
class Cleaned:
    """Rows that passed the cleaners, and all that is known about them.

    Attributes:
        request: what was asked.
        inputs: the sources; the first gave the training rows, or the pool.
        options: the task's options, `multi_label` settled.
        rows: the rows.
        account: the ledger.
        cleaners: the cleaners that ran, by name.
    """

    request: DataRequest
    inputs: list[Input]
    options: dict[str, Any]
    rows: RowStore
    account: Account
    cleaners: list[tuple[str, Cleaner]]

    @property
    def of_train(self) -> np.ndarray:
        """Indices of the rows from the source of training rows."""
        return np.flatnonzero(self.rows.alive & (self.rows.sources == 0))


@dataclass(frozen=True)
class Division:
    """Where each row went.

    Attributes:
        codes: split of each row: 0 train, 1 validation, 2 test.
        divided: codes of the splits that a pool was divided into.
        sizes: what was wanted of each held-out split taken from the pool.
        leaks: what was found between splits.
        unknown: held-out rows dropped for a class without training rows, by class.
    """

    codes: np.ndarray
    divided: frozenset[int]
    sizes: dict[str, Wanted]
    leaks: dict[str, Any]
    unknown: dict[str, int]


def settle(cleaned: Cleaned) -> Division:
    """Divide, remove leaks and check; the ledger is complete on disk whatever comes of it.

    Raises:
        GateError: MW-204 when too many rows were dropped.
        UserError: MW-203, MW-205 or MW-208 when nothing can be learnt from what is left.
    """
    limit, account = cleaned.request.data.limits.dropped, cleaned.account
    try:
        account.check(limit)
        _check_learnable(cleaned)
        division = _divide(cleaned)
        account.check(limit)
        _check_present(cleaned, division)
    finally:
        account.settle(cleaned.rows)
    return division


def _check_learnable(cleaned: Cleaned) -> None:
    """MW-203 without training rows; MW-205, in the task's words, when all have one target."""
    rows, of_train = cleaned.rows, cleaned.of_train
    if not len(of_train):
        raise _no_rows("train", cleaned.inputs[0].source.location, cleaned.account)
    if len(np.unique(rows.target_keys[of_train])) == 1:
        learn = cleaned.request.task.learn_spec
        learn(rows.take(of_train[:1000]), language="", options=cleaned.options)


def _divide(cleaned: Cleaned) -> Division:
    request, rows = cleaned.request, cleaned.rows
    splits, pool = request.data.splits, cleaned.of_train
    asked = {
        name: share for name in HELD_OUT if not isinstance(share := getattr(splits, name), str)
    }
    check_fractions({name: share for name, share in asked.items() if share})
    codes = np.array([0, *(NAMES.index(entry.split) for entry in cleaned.inputs[1:])], np.uint8)
    codes = codes[rows.sources]
    classes = strata(rows.label_sets[pool], rows.label_names)
    kinds = len(np.unique(classes))
    sizes = {name: wanted(name, share, len(pool), kinds) for name, share in asked.items()}
    if request.prove and asked.get("validation") is None:
        given = int((rows.alive & (codes == VALIDATION)).sum())
        size = wanted_for_proof(len(pool), given, sizes.get("validation", Wanted(0, "")))
        if size.rows:
            sizes["validation"] = size
    counts = {name: size.rows for name, size in sizes.items() if size.rows}
    divided: frozenset[int] = frozenset()
    if counts:
        keys = combine(rows.content_keys[pool], rows.target_keys[pool])
        classes = classes if splits.stratify else np.zeros_like(classes)
        groups = rows.groups[pool] if splits.groups else None
        codes[pool] = divide(keys, classes, groups, counts, request.seed)
        divided = frozenset({0, *(NAMES.index(name) for name in counts)})
    leaks = Leaks(rows, codes, cleaned.account, remove=request.leaks == "remove")
    _remove_leaks(cleaned, leaks)
    if not (rows.alive & (codes == TRAIN)).any():
        raise _no_rows("train", cleaned.inputs[0].source.location, cleaned.account)
    return Division(codes, divided, sizes, leaks.report, leaks.unknown_labels())


def _remove_leaks(cleaned: Cleaned, leaks: Leaks) -> None:
    """Groups, equal rows, and for texts nearly equal rows of one target.

    Rows of one pool that `near-duplicates` has cleaned are unlike each other already.
    """
    if cleaned.request.data.splits.groups:
        leaks.groups()
    leaks.exact()
    task, rows = cleaned.request.task, cleaned.rows
    made = next((n for _, c in cleaned.cleaners if (n := c.neighbours) is not None), None)
    whole_texts = task.modality == "text" and task.head == "sequence"
    if whole_texts and (made is None or len(rows.splits) > 1):
        leaks.near(near_pairs(rows, leaks.codes, made))


def _check_present(cleaned: Cleaned, division: Division) -> None:
    """MW-203 when a split that was asked for has no row left."""
    held = np.bincount(division.codes[cleaned.rows.alive], minlength=3)
    data = cleaned.request.data
    for code, name in enumerate(NAMES):
        asked = getattr(data.splits, name)
        needed = code == 0 or isinstance(asked, str) or division.sizes[name].rows > 0
        if needed and not held[code]:
            location = asked if isinstance(asked, str) else cleaned.inputs[0].source.location
            raise _no_rows(name, location, cleaned.account)


def _no_rows(split: str, location: str, account: Account) -> UserError:
    dropped = account.ledger.dropped
    why = "the source holds no rows"
    if dropped:
        most = dropped.most_common(1)[0][0]
        why = f"{account.reasons(dropped)}; the first {most} is {account.example(most)}"
    return UserError(
        "MW-203",
        f"no usable row is left for {split}: {why}",
        expected="at least one row with what the task needs",
        fix="check the file and `data.columns`; ledger.jsonl lists every row that was dropped",
        file=location,
    )
