"""Counts of what rows were like: of fixed size, to be added up, and without any row.

Two sketches are compared by exact tests that hold at any size: if both come from one distribution,
the rows of the window are a random choice of all rows, so that how many of them lie beyond a value
is hypergeometric (Fisher's exact test). A p-value is corrected for every place that was looked at.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from modelwright.monitor.tails import chi_squared_above, hypergeometric

SHARES = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99)
"""Of all rows, below which a cut is made: shifts show in the tails first."""
MOST_CATEGORIES = 1_000
REST = "…"
"""Categories beyond the most frequent ones."""
LEAST_EDGE = 1e-9
"""An edge that parts 0 from all above it."""
LEAST_EXPECTED = 5.0
"""Rows of a category below which it joins the others in the test over all of them."""


@dataclass(frozen=True)
class Moved:
    """What a comparison found.

    Attributes:
        p: of the test, corrected for the places looked at.
        place: the value or the category where it differs most; "" over all categories together.
        above: whether the window has more than the reference there.
        window: share of the window's rows there: beyond the value, or of the category.
        reference: the same share of the reference.
    """

    p: float
    place: float | str = ""
    above: bool = True
    window: float = 0.0
    reference: float = 0.0


@dataclass
class Ordered:
    """Rows counted between fixed edges; NaN is no row.

    Attributes:
        edges: ascending; bin i holds edges[i-1] <= value < edges[i].
        counts: one more than edges.
    """

    edges: Sequence[float]
    counts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.edges) + 1)

    @property
    def rows(self) -> int:
        return sum(self.counts)

    def add(self, values: np.ndarray) -> Ordered:
        """Count values [N]."""
        known = values[~np.isnan(values)]
        places = np.searchsorted(np.asarray(self.edges), known, side="right")
        found = np.bincount(places, minlength=len(self.counts))
        self.counts = [old + int(new) for old, new in zip(self.counts, found, strict=True)]
        return self

    def merge(self, other: Ordered) -> Ordered:
        """Both together."""
        both = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        return Ordered(self.edges, both)

    def moved(self, window: Ordered) -> Moved:
        """The window beside this reference: the cut where the shares above it differ most."""
        mine, theirs = np.cumsum(self.counts[::-1])[::-1], np.cumsum(window.counts[::-1])[::-1]
        cuts = _cuts(mine + theirs)
        if not cuts or not self.rows or not window.rows:
            return Moved(1.0)
        above_w, above_all = theirs[cuts], (mine + theirs)[cuts]
        p = _fisher(above_w, window.rows, above_all, self.rows + window.rows)
        best = int(np.argmin(p))
        share_w, share_r = above_w[best] / window.rows, mine[cuts[best]] / self.rows
        more = bool(share_w > share_r)
        if not more:  # fewer above is more below
            share_w, share_r = 1 - share_w, 1 - share_r
        edge = float(self.edges[cuts[best] - 1])
        return Moved(min(1.0, float(p[best]) * len(cuts)), edge, more, share_w, share_r)

    def beside(self, window: Ordered, most: int = 24) -> list[tuple[str, float, float]]:
        """Shares of this reference and of the window from edge to edge, in a few bars."""
        both = np.array([self.counts, window.counts], dtype=float)
        used = np.flatnonzero(both.sum(axis=0))
        if not len(used):
            return []
        first, last = int(used[0]), int(used[-1])
        step = max(1, -(-(last - first + 1) // most))
        shares = both / np.maximum(both.sum(axis=1, keepdims=True), 1)
        found = []
        for start in range(first, last + 1, step):
            low = self.edges[start - 1] if start else -np.inf
            mine, theirs = shares[:, start : start + step].sum(axis=1)
            found.append((edge_name(low), float(mine), float(theirs)))
        return found

    def as_dict(self) -> dict[str, Any]:
        return {"counts": self.counts}


def edge_name(edge: float) -> str:
    """An edge to be read; the least one above nothing is just that."""
    return "> 0" if 0 < edge <= LEAST_EDGE else f"{edge:.4g}"


def _cuts(above: np.ndarray) -> list[int]:
    """Bins at which to cut, from how many of all rows lie in them or above: a few, all different."""
    total = above[0]
    if not total:
        return []
    inner = [at for at in range(1, len(above)) if 0 < above[at] < total]
    if not inner:
        return []
    shares = 1 - above[inner] / total
    return sorted({inner[int(np.argmin(np.abs(shares - share)))] for share in SHARES})


@dataclass
class Categories:
    """Rows counted by category; a row may have several."""

    counts: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        return sum(self.counts.values())

    def add(self, values: Iterable[str]) -> Categories:
        """Count categories; beyond the most frequent ones they are counted together."""
        return self.merge(Categories(Counter(values)))

    def merge(self, other: Categories) -> Categories:
        """Both together."""
        total = self.counts + other.counts
        rest = total.pop(REST, 0)
        kept = Counter(dict(total.most_common(MOST_CATEGORIES)))
        rest += sum(total.values()) - sum(kept.values())
        self.counts = kept + Counter({REST: rest})
        return self

    def moved(self, window: Categories) -> Moved:
        """The window beside this reference: each category, and all of them together."""
        names = sorted(set(self.counts) | set(window.counts))
        if len(names) < 2 or not self.rows or not window.rows:
            return Moved(1.0)
        mine = np.array([self.counts[name] for name in names])
        theirs = np.array([window.counts[name] for name in names])
        p = _fisher(theirs, window.rows, mine + theirs, self.rows + window.rows)
        best = int(np.argmin(p))
        share_w, share_r = theirs[best] / window.rows, mine[best] / self.rows
        alone = float(p[best]) * len(names)
        found = min(1.0, 2 * min(alone, _homogeneity(mine, theirs)))
        if alone > found:  # the many moved a little
            return Moved(found, "", True, _distance(mine, theirs), 0.0)
        return Moved(found, names[best], bool(share_w > share_r), share_w, share_r)

    def beside(self, window: Categories, most: int = 24) -> list[tuple[str, float, float]]:
        """Shares of this reference and of the window of the categories that differ most."""
        names = set(self.counts) | set(window.counts)
        found = [
            (name, self.counts[name] / max(1, self.rows), window.counts[name] / max(1, window.rows))
            for name in names
        ]
        return sorted(found, key=lambda one: (-abs(one[1] - one[2]), one[0]))[:most]

    def as_dict(self) -> dict[str, Any]:
        return {"counts": {name: count for name, count in self.counts.items() if count}}


def _fisher(window: np.ndarray, window_rows: int, both: np.ndarray, both_rows: int) -> np.ndarray:
    """Two-sided p-values: of `both` rows like this among all, how many are in the window."""
    below, above = hypergeometric(window, window_rows, both, both_rows)
    return np.minimum(1.0, 2 * np.minimum(below, above))


def _homogeneity(mine: np.ndarray, theirs: np.ndarray) -> float:
    """The p-value of the chi-squared test that both have one distribution, rare ones joined."""
    share = theirs.sum() / (mine.sum() + theirs.sum())
    expected = (mine + theirs) * min(share, 1 - share)
    rare = expected < LEAST_EXPECTED
    table = np.array([mine[~rare], theirs[~rare]])
    if rare.any():
        table = np.column_stack([table, [mine[rare].sum(), theirs[rare].sum()]])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 1.0
    wanted = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    far = float(((table - wanted) ** 2 / wanted).sum())
    return chi_squared_above(far, table.shape[1] - 1)


def _distance(mine: np.ndarray, theirs: np.ndarray) -> float:
    """Total variation distance of the shares."""
    return float(np.abs(mine / mine.sum() - theirs / theirs.sum()).sum() / 2)


def score(p: float, alpha: float) -> float:
    """A p-value on the scale on which 1 is the alarm: log p / log alpha, at most 100."""
    if p >= 1.0:
        return 0.0
    return min(100.0, math.log(max(p, 1e-300)) / math.log(alpha))


def restored(
    kind: Literal["ordered", "categories"], edges: Sequence[float], told: Mapping[str, Any]
) -> Ordered | Categories:
    """From what `as_dict` gave.

    Raises:
        ValueError: the counts are not those of these edges.
    """
    if kind == "categories":
        return Categories(Counter({str(k): int(v) for k, v in told["counts"].items()}))
    counts = [int(count) for count in told["counts"]]
    if len(counts) != len(edges) + 1:
        raise ValueError(f"{len(counts)} counts for {len(edges)} edges")
    return Ordered(edges, counts)
