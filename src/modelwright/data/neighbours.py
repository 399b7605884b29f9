"""Finds texts that are nearly equal, in time linear in their number.

Candidates share a band key (`minhash.py`). In a bucket of texts with one key, the first is compared
with all others; those that match it leave the bucket, then the next first one is compared with what
is left, and so on. A comparison is first estimated from the sketches, then made exactly, on the
shingles of the texts as they are on disk: nothing is reported below the threshold.

Two bounds keep a million texts that share a template from being compared with each other. Rounds in
which fewer than a tenth of a bucket match are idle, and a bucket is left after `2000 / size` idle
rounds (2 to 24): one of up to 25 unlike texts is compared completely, in a crowded one a text meets
the first few only, so that in this band (not in the others) a twin can be missed. And a text that
failed 6 exact comparisons (more in small sets: 100,000 in all) is from then on compared exactly
only where the estimate itself reaches the threshold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields

import numpy as np

from modelwright.data.chunks import U64, mix
from modelwright.data.minhash import Bands, Sketches, bands_for, fold, shingles, sketch

_FAILURES, _FAILURES_IN_ALL = 6, 100_000
_MOST_IDLE, _LEAST_IDLE, _IDLE_PAIRS = 24, 2, 2000
_PASSES = 4
_AHEAD = 3
_VERIFY_ROWS = 2048
_ESTIMATE_ROWS = 65_536
_MOST_CONFLICTS = 10_000
_SLACK = 3.5
"""Standard deviations by which an estimate may fall short before the pair is ruled out."""


@dataclass(frozen=True, slots=True)
class Match:
    """A text, the earlier one that it nearly equals, and how nearly (Jaccard)."""

    row: int
    twin: int
    similarity: float


@dataclass
class Found:
    """Outcome of a search.

    Attributes:
        matches: each with a twin that is no match of another itself.
        conflicts: like texts with different targets.
        full_buckets: buckets in which not all texts were compared.
    """

    matches: list[Match] = field(default_factory=list)
    conflicts: list[Match] = field(default_factory=list)
    full_buckets: int = 0


class Neighbours:
    """Sketches of texts, and the search among them.

    A thread sketches while the next rows are read: numpy lets go of the interpreter meanwhile.

    Args:
        threshold: least Jaccard similarity of a match.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.bands: Bands = bands_for(threshold)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="modelwright-sketch")
        self._started: deque[Future[Sketches]] = deque()
        self._whole = Sketches(
            np.empty((0, self.bands.count), np.uint32),
            np.empty((0, self.bands.bins), np.uint8),
            np.empty(0, np.int32),
            np.empty(0, np.int8),
        )
        self._size = 0
        self._rows: list[np.ndarray] = []
        self.rows = np.zeros(0, np.int64)

    def add(self, rows: list[int], texts: list[str]) -> None:
        """Take in texts; `rows` are their numbers elsewhere, each given once."""
        if texts:
            self._rows.append(np.array(rows, np.int64))
            self._started.append(self._worker.submit(sketch, texts, self.bands))
            self._collect(_AHEAD)

    def _collect(self, leave: int) -> None:
        """Wait until at most `leave` chunks are being sketched."""
        while len(self._started) > leave:
            self._append(self._started.popleft().result())

    def _append(self, part: Sketches) -> None:
        """Copy sketches in; the arrays grow in place, so that memory never holds them twice."""
        start, self._size = self._size, self._size + len(part.sizes)
        for kind in fields(Sketches):
            held, new = getattr(self._whole, kind.name), getattr(part, kind.name)
            if self._size > len(held):
                held.resize((self._size + self._size // 4, *held.shape[1:]), refcheck=False)
            held[start : self._size] = new

    def known(self) -> np.ndarray:
        """Numbers of the rows that were taken in."""
        self._collect(0)
        self.rows = np.concatenate([self.rows, *self._rows])
        self._rows = []
        return self.rows

    def search(
        self,
        texts: Callable[[np.ndarray], list[str]],
        targets: np.ndarray,
        *,
        among: np.ndarray,
        ranks: np.ndarray | None = None,
    ) -> Found:
        """Rows that nearly equal an earlier one with the same target.

        Args:
            texts: gives the texts of rows by their numbers.
            targets: uint64 of each row's target, by row number.
            among: bool by row number, which rows to look at.
            ranks: by row number; a match then needs a twin of a lower rank. Without ranks, a twin
                that came earlier.
        """
        items = np.flatnonzero(among[self.known()])
        order = self.rows[items]
        if ranks is not None:
            items = items[np.lexsort((order, ranks[order]))]
        else:
            items = items[np.argsort(order, kind="stable")]
        labels = (mix(targets[self.rows[items]]) >> U64(32)).astype(U64)
        levels = None if ranks is None else ranks[self.rows[items]]
        return _Search(self, self._whole, _Items(items, labels, levels), texts).run()


@dataclass(frozen=True)
class _Items:
    """What is searched, in order of precedence.

    Attributes:
        at: place of each item among the sketches.
        labels: uint64 below 2^32, equal where targets are.
        levels: rank of each item, or None.
    """

    at: np.ndarray
    labels: np.ndarray
    levels: np.ndarray | None


class _Search:
    """One search; positions count items in order of precedence."""

    def __init__(
        self,
        index: Neighbours,
        whole: Sketches,
        items: _Items,
        texts: Callable[[np.ndarray], list[str]],
    ) -> None:
        self.index, self.whole, self.texts = index, whole, texts
        self.items, self.labels, self.levels = items.at, items.labels, items.levels
        self.full_buckets = 0
        self.left = np.ones(len(self.items), bool)
        self.bearable = max(_FAILURES, _FAILURES_IN_ALL // max(1, len(self.items)))
        self.failures = np.zeros(len(self.items), np.uint16)
        self.refused: set[tuple[int, int]] = set()
        self.twins: dict[int, tuple[int, float]] = {}
        self.conflicts: dict[int, tuple[int, float]] = {}

    def run(self) -> Found:
        """Search band by band, until every match has a twin that stays."""
        focus = None
        for _ in range(_PASSES):
            for band in range(self.index.bands.count):
                self._band(band, focus)
            focus = self._resolve()
            if not len(focus):
                break
        return Found(self._listed(self.twins), self._listed(self.conflicts), self.full_buckets)

    def _listed(self, pairs: dict[int, tuple[int, float]]) -> list[Match]:
        rows = self.index.rows[self.items]
        matches = (Match(int(rows[at]), int(rows[to]), how) for at, (to, how) in pairs.items())
        return sorted(matches, key=lambda match: match.row)

    def _resolve(self) -> np.ndarray:
        """Release rows whose twin turned out to be a match itself; they are searched again."""
        if self.levels is not None:
            return np.zeros(0, np.int64)
        released = []
        for at in sorted(self.twins):
            twin = self.twins[at][0]
            if twin in self.twins:
                del self.twins[at]
                released.append(at)
        self.left[released] = True
        return np.array(released, np.int64)

    def _band(self, band: int, focus: np.ndarray | None) -> None:
        positions = np.flatnonzero(self.left)
        keys = self.whole.keys[self.items[positions], band]
        if focus is not None:
            chosen = np.isin(keys, self.whole.keys[self.items[focus], band])
            positions, keys = positions[chosen], keys[chosen]
        order = np.argsort(keys)
        positions, keys = positions[order], keys[order]
        shared = _shared(keys)
        positions, keys = positions[shared], keys[shared]
        keys = (keys.astype(U64) << U64(32)) | self.labels[positions]
        order = np.argsort(keys)
        positions, keys = positions[order], keys[order]
        if focus is None:
            self._conflicts(positions, keys)
        shared = _shared(keys)
        positions, keys = positions[shared], keys[shared]
        order = np.lexsort((positions, keys))
        self._rounds(positions[order], keys[order])

    def _rounds(self, positions: np.ndarray, keys: np.ndarray) -> None:
        starts = _starts(keys)
        sizes = np.diff(np.append(starts, len(keys)))
        patience = np.repeat(
            np.clip(_IDLE_PAIRS // np.maximum(sizes, 1), _LEAST_IDLE, _MOST_IDLE), sizes
        )
        while len(keys):
            first = np.zeros(len(keys), bool)
            first[starts] = True
            run = np.cumsum(first) - 1
            leaders = positions[starts][run]
            compared = ~first
            if self.levels is not None:
                compared &= self.levels[positions] > self.levels[leaders]
            matched = np.zeros(len(keys), bool)
            matched[compared] = self._match(leaders[compared], positions[compared])
            idle = np.add.reduceat(matched, starts, dtype=np.int64) * 10 < np.bincount(run)
            patience = patience - idle[run]
            stay = ~first & ~matched
            positions, keys, patience = positions[stay], keys[stay], patience[stay]
            shared = _shared(keys)
            self.full_buckets += len(_starts(keys[shared & (patience <= 0)]))
            shared &= patience > 0
            positions, keys, patience = positions[shared], keys[shared], patience[shared]
            starts = _starts(keys)

    def _match(self, leaders: np.ndarray, members: np.ndarray) -> np.ndarray:
        """Compare pairs; matches leave the search."""
        matched = np.zeros(len(members), bool)
        for at, similarity in self._compare(leaders, members):
            matched[at] = True
            self.twins[int(members[at])] = (int(leaders[at]), similarity)
        self.left[members[matched]] = False
        return matched

    def _conflicts(self, positions: np.ndarray, keys: np.ndarray) -> None:
        """Compare the first text of each target in a bucket with the first of the bucket."""
        if not len(keys) or len(self.conflicts) >= _MOST_CONFLICTS:
            return
        heads = np.concatenate(([True], keys[1:] != keys[:-1]))
        positions, keys = positions[heads], keys[heads] >> U64(32)
        shared = _shared(keys)
        positions, keys = positions[shared], keys[shared]
        order = np.lexsort((positions, keys))
        positions, keys = positions[order], keys[order]
        starts = _starts(keys)
        if not len(starts):
            return
        first = np.zeros(len(keys), bool)
        first[starts] = True
        leaders = positions[starts][np.cumsum(first) - 1][~first]
        members = positions[~first]
        fresh = np.array([int(at) not in self.conflicts for at in members], bool)
        leaders, members = leaders[fresh], members[fresh]
        for at, similarity in self._compare(leaders, members):
            self.conflicts[int(members[at])] = (int(leaders[at]), similarity)
            if len(self.conflicts) >= _MOST_CONFLICTS:
                return

    def _compare(self, leaders: np.ndarray, members: np.ndarray) -> Iterator[tuple[int, float]]:
        """(pair, similarity) of the pairs that reach the threshold."""
        hopeful = np.flatnonzero(self._hopeful(leaders, members))
        hopeful = hopeful[np.argsort(leaders[hopeful], kind="stable")]
        pairs = zip(
            hopeful.tolist(), leaders[hopeful].tolist(), members[hopeful].tolist(), strict=True
        )
        fresh = [pair for pair in pairs if pair[1:] not in self.refused]
        for start in range(0, len(fresh), _VERIFY_ROWS):
            yield from self._verify(fresh[start : start + _VERIFY_ROWS])

    def _hopeful(self, leaders: np.ndarray, members: np.ndarray) -> np.ndarray:
        """Whether the sketches leave a pair a chance."""
        hopeful = np.zeros(len(members), bool)
        whole, threshold = self.whole, self.index.threshold
        for start in range(0, len(members), _ESTIMATE_ROWS):
            part = slice(start, start + _ESTIMATE_ROWS)
            first, second = self.items[leaders[part]], self.items[members[part]]
            equal = (whole.bytes[first] == whole.bytes[second]).mean(axis=1)
            sizes = np.minimum(whole.sizes[first], whole.sizes[second])
            slack = np.where(self.failures[members[part]] < self.bearable, _SLACK, 0.0)
            deviation = np.sqrt(
                threshold * (1 - threshold) / np.minimum(sizes, self.index.bands.bins)
            )
            same_width = whole.widths[first] == whole.widths[second]
            hopeful[part] = same_width & (equal >= threshold - slack * deviation)
        return hopeful

    def _verify(self, pairs: list[tuple[int, int, int]]) -> Iterator[tuple[int, float]]:
        """The exact similarity of pairs, sorted by leader."""
        wanted = np.unique(np.array([pair[1:] for pair in pairs], np.int64))
        rows = self.index.rows[self.items[wanted]]
        found = dict(zip(wanted.tolist(), map(fold, self.texts(rows)), strict=True))
        widths = dict(
            zip(wanted.tolist(), self.whole.widths[self.items[wanted]].tolist(), strict=True)
        )
        held, of_leader = -1, set[str]()
        for at, leader, member in pairs:
            if leader != held:
                held, of_leader = leader, shingles(found[leader], widths[leader])
            similarity = jaccard(of_leader, shingles(found[member], widths[member]))
            if similarity >= self.index.threshold:
                yield at, similarity
            else:
                self.refused.add((leader, member))
                self.failures[member] += 1


def jaccard(first: set[str], second: set[str]) -> float:
    """Size of the intersection over size of the union."""
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)


def _shared(keys: np.ndarray) -> np.ndarray:
    """Which sorted keys occur more than once."""
    if len(keys) < 2:
        return np.zeros(len(keys), bool)
    same = keys[1:] == keys[:-1]
    return np.concatenate((same, [False])) | np.concatenate(([False], same))


def _starts(keys: np.ndarray) -> np.ndarray:
    """Where each run of equal sorted keys begins."""
    if not len(keys):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
