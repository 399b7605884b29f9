"""Divides a pool of rows into train, validation and test.

A row's place is decided by its content and the seed alone, so the same rows come out whatever the
order of the file. Every class keeps its share (largest remainders) and at least one training row;
rows of one group stay together. A row with several labels counts as its rarest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelwright.data.chunks import U64, mix, split_labels
from modelwright.errors import UserError

TRAIN, VALIDATION, TEST = 0, 1, 2
NAMES = ("train", "validation", "test")
HELD_OUT = ("test", "validation")
DERIVED_SHARE = 0.1
DERIVED_MOST = {"validation": 2_000, "test": 5_000}
PROOF_ROWS, PROOF_SHARE = 2_000, 0.2
PROOF_MOST = 5_000
"""Validation rows that a proof of compression asks for, and the share of the training rows that it
may take for them; of many rows a tenth, up to a most, since the interval narrows with each.

A drop of one point is shown, more often than not, from some 1,000 rows on when 3% of the rows tell
the two models apart (`metrics/noninferiority.py`); a part of the rows serves the search.
"""


@dataclass(frozen=True)
class Wanted:
    """How many rows a split should get, and why."""

    rows: int
    origin: str


def wanted(split: str, asked: float | None, rows: int, classes: int) -> Wanted:
    """The size of a held-out split.

    Derived: a tenth of the rows; in small sets at least one row for every class, if that is no
    more than a fifth; at most 2,000 rows for validation and 5,000 for test, beyond which the
    confidence interval hardly narrows.
    """
    if asked is not None:
        count = round(asked * rows)
        return Wanted(max(count, 1 if asked > 0 else 0), f"pinned: {asked:g} of {rows:,} rows")
    most = DERIVED_MOST[split]
    count = min(max(round(DERIVED_SHARE * rows), min(classes, rows // 5), 1), most)
    return Wanted(count, f"derived: {count / max(rows, 1):.0%} of {rows:,} rows, at most {most:,}")


def wanted_for_proof(rows: int, given: int, otherwise: Wanted) -> Wanted:
    """Validation rows to take from the training rows when compression is to be proven.

    Args:
        rows: training rows.
        given: validation rows that a file gave.
        otherwise: what is taken without a proof.
    """
    wanted = min(PROOF_MOST, max(PROOF_ROWS, round(DERIVED_SHARE * rows)))
    count = min(wanted - given, round(PROOF_SHARE * rows))
    if count <= otherwise.rows:
        return otherwise
    beside = f" beside the {given:,} given" if given else ""
    return Wanted(count, f"derived: {count:,} of {rows:,} rows{beside}, to prove compression with")


def strata(label_sets: np.ndarray, label_names: list[str]) -> np.ndarray:
    """Class of each row for stratifying: its rarest label, numbered in the order of the names.

    Args:
        label_sets: code of each row's label set [N].
        label_names: the label set of each code, as `join_labels` gives it.
    """
    sets = [split_labels(joined) for joined in label_names]
    rows_of_set = np.bincount(label_sets, minlength=len(sets))
    totals: dict[str, int] = {}
    for labels, count in zip(sets, rows_of_set.tolist(), strict=True):
        for label in labels:
            totals[label] = totals.get(label, 0) + count
    number = {label: at for at, label in enumerate(sorted(totals), start=1)}
    rarest = [
        number[min(labels, key=lambda label: (totals[label], label))] if labels else 0
        for labels in sets
    ]
    return np.array(rarest, np.int64)[label_sets]


def divide(
    keys: np.ndarray,
    classes: np.ndarray,
    groups: np.ndarray | None,
    sizes: dict[str, int],
    seed: int,
) -> np.ndarray:
    """The split of each row: 0 train, 1 validation, 2 test.

    Args:
        keys: uint64 of each row's content [N].
        classes: class of each row, numbered in an order that doesn't depend on the file [N].
        groups: uint64 of each row's group, 0 for none [N], or None.
        sizes: rows wanted by split; a split that isn't in it gets none.
        seed: changes which rows are chosen.

    Raises:
        UserError: MW-208 when a wanted split or train would stay empty.
    """
    order_keys = mix(keys ^ mix(np.array([seed], U64)))
    codes = np.zeros(len(keys), np.uint8)
    left = dict(sizes)
    single = np.ones(len(keys), bool)
    if groups is not None:
        single = _place_groups(groups, classes, left, codes, seed)
    _place_rows(np.flatnonzero(single), order_keys, classes, left, codes)
    _check(codes, sizes, groups)
    return codes


def _place_rows(
    rows: np.ndarray, keys: np.ndarray, classes: np.ndarray, left: dict[str, int], codes: np.ndarray
) -> None:
    order = rows[np.lexsort((keys[rows], classes[rows]))]
    _, starts, counts = np.unique(classes[order], return_index=True, return_counts=True)
    whole = len(order) == len(codes)
    room = counts - 1 if whole else counts.copy()
    taken = np.zeros(len(counts), np.int64)
    wants, spare = [left.get(name, 0) for name in HELD_OUT], int(room.sum())
    if sum(wants) > spare:
        wants = [max(min(want, 1), want * spare // sum(wants)) for want in wants]
    for name, want in zip(HELD_OUT, wants, strict=True):
        quota = _quotas(counts, room, want)
        rank = np.arange(len(order)) - np.repeat(starts, counts)
        low, high = np.repeat(taken, counts), np.repeat(taken + quota, counts)
        codes[order[(rank >= low) & (rank < high)]] = NAMES.index(name)
        taken, room = taken + quota, room - quota


def _quotas(counts: np.ndarray, room: np.ndarray, want: int) -> np.ndarray:
    """Rows to take of each class: in proportion, within `room`, together `want` if possible."""
    want = min(want, int(room.sum()))
    if want <= 0:
        return np.zeros(len(counts), np.int64)
    exact = counts * (want / counts.sum())
    quota = np.minimum(np.floor(exact).astype(np.int64), room)
    rest = exact - quota
    ones = (quota == 0) & (room > 0) & (counts > 2)
    if ones.sum() <= want - quota.sum():
        quota[ones] = 1
        rest = exact - quota
    while (missing := want - int(quota.sum())) > 0:
        open_classes = np.flatnonzero(quota < room)
        chosen = open_classes[np.argsort(-rest[open_classes], kind="stable")][:missing]
        quota[chosen] += 1
        rest[chosen] -= 1
    return quota


def _place_groups(
    groups: np.ndarray, classes: np.ndarray, left: dict[str, int], codes: np.ndarray, seed: int
) -> np.ndarray:
    """Put groups of several rows where they fit best; tell which rows are still to be placed.

    The largest group first, ties by hash, to the split whose class counts come closest to what is
    wanted (least squares, as in scikit-learn's StratifiedGroupKFold). Changes `left` and `codes`.
    """
    names, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    several = (sizes > 1) & (names != 0)
    single = ~several[inverse]
    total = np.bincount(classes)
    fractions = {name: want / len(groups) for name, want in left.items()}
    fractions["train"] = 1 - sum(fractions.values())
    aims = {name: np.maximum(total * share, 1e-9) for name, share in fractions.items() if share > 0}
    have = {name: np.zeros(len(total)) for name in aims}
    order = np.lexsort((mix(names ^ mix(np.array([seed], U64))), -sizes))
    members = np.argsort(inverse, kind="stable")
    ends = np.cumsum(sizes)
    for group in order[several[order]]:
        rows = members[ends[group] - sizes[group] : ends[group]]
        kinds, counts = np.unique(classes[rows], return_counts=True)

        def cost(name: str, kinds: np.ndarray = kinds, counts: np.ndarray = counts) -> float:
            gap = have[name][kinds] - aims[name][kinds]
            return float((((gap + counts) ** 2 - gap**2) / aims[name][kinds]).sum())

        best = min(aims, key=cost)
        have[best][kinds] += counts
        codes[rows] = NAMES.index(best)
    _fill_empty(single, inverse, sizes, codes, left)
    for name, want in left.items():
        left[name] = max(0, want - int(have[name].sum()) if name in have else 0)
    return single


def _fill_empty(
    single: np.ndarray,
    inverse: np.ndarray,
    sizes: np.ndarray,
    codes: np.ndarray,
    wanted_sizes: dict[str, int],
) -> None:
    """Give a split that got no group the smallest group of train, when there are no single rows."""
    if single.any():
        return
    for name, want in wanted_sizes.items():
        code = NAMES.index(name)
        of_train = np.unique(inverse[codes == TRAIN])
        if want > 0 and not (codes == code).any() and len(of_train) > 1:
            smallest = of_train[np.argmin(sizes[of_train])]
            codes[inverse == smallest] = code


def _check(codes: np.ndarray, sizes: dict[str, int], groups: np.ndarray | None) -> None:
    held = np.bincount(codes, minlength=3)
    asked = {"train": 1, **{name: want for name, want in sizes.items() if want > 0}}
    empty = [name for name in asked if not held[NAMES.index(name)]]
    if not empty:
        return
    what = f"{len(codes):,} usable row{'' if len(codes) == 1 else 's'}"
    if groups is not None:
        what += f" in {len(np.unique(groups)):,} group{'' if len(np.unique(groups)) == 1 else 's'}"
    raise UserError(
        "MW-208",
        f"{what} cannot be divided: {' and '.join(empty)} would be empty",
        expected="every class keeps a training row, every group stays whole, and each split has "
        "at least one row",
        fix="add rows, name files with `data.splits.validation` and `data.splits.test`, or set the "
        "fraction of a split that you don't need to 0.0",
    )


def check_fractions(asked: dict[str, float]) -> None:
    """MW-208 when held-out fractions leave nothing to train on."""
    if sum(asked.values()) >= 1:
        listed = ", ".join(f"{name}: {value:g}" for name, value in asked.items())
        raise UserError(
            "MW-208",
            f"`data.splits` holds out everything ({listed})",
            expected="fractions that leave training rows: together below 1",
            fix="for instance `splits: {validation: 0.1, test: 0.1}`",
        )
