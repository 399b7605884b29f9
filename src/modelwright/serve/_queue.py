"""Which rows run next: fair between callers, urgent ones first, rows of like length together.

A request is a `Job` of rows. Rows wait in a lane for each caller, in heaps for each width. The
caller who was given the least engine time goes first; of its rows the one that is due first. The
rest of the batch are rows of the same width, taken in the same way.

A request is due some times its own cost after it came, 250 ms at most, or in time for its deadline.
So short requests pass long ones, and nobody waits for what came more than 250 ms later.

Nothing here knows threads or time: whoever calls holds the lock and says what time it is.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

from modelwright.encoders.batches import LEAST_TOKENS, length_of, round_number, width_of
from modelwright.encoders.limits import FEW_WIDTHS, BatchLimits
from modelwright.serve._cost import CostModel

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

PATIENCE = 0.25
"""Seconds by which later requests may pass an earlier one."""
STRETCH = 8.0
"""A request is due this many times its own cost after it came."""
QUANTUM = 0.002
"""Rows that engines run one by one are taken together for as many seconds."""
_LEAST_COST = 1e-7


@dataclass(slots=True, eq=False)
class Job:
    """One request's rows and where its answer goes.

    Attributes:
        features: what the model reads, in order.
        inputs: how many inputs these are of.
        caller: who shares fairly with others.
        arrived: when it came, in seconds of the monotonic clock.
        deadline: when its answer is worth nothing any more, by the same clock.
        loop: the event loop that awaits `answer`.
        answer: gets the predictions, or the exception.
        vectors: the vectors behind the predictions are asked for.
        outputs: logits of each row, as they come.
        left: rows that have not run.
        taken: when its first row was, by the same clock; 0 before.
        dead: nobody waits for it any more, or a row of it failed.
    """

    features: Sequence[Any]
    inputs: int
    caller: str
    arrived: float
    deadline: float
    loop: AbstractEventLoop
    answer: Future[list[dict[str, Any]]]
    vectors: bool = False
    rows: list[Row] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    left: int = 0
    taken: float = 0.0
    dead: bool = False

    def __post_init__(self) -> None:
        self.left = len(self.features)
        self.outputs = [None] * self.left


@dataclass(slots=True, eq=False)
class Row:
    """One row of a job; `waits` until it is taken or its job is dropped."""

    job: Job
    place: int
    width: int
    cost: float
    due: float = 0.0
    waits: bool = True

    @property
    def feature(self) -> Any:
        return self.job.features[self.place]


class _Lane:
    """What one caller has waiting, and how many seconds of the engine it was given."""

    __slots__ = ("heaps", "rows", "seconds", "served")

    def __init__(self, served: float) -> None:
        self.heaps: dict[int, list[tuple[float, int, Row]]] = {}
        self.served, self.rows, self.seconds = served, 0, 0.0

    def first(self) -> Row | None:
        """The row that is due first."""
        tops = [top for width in list(self.heaps) if (top := self.top(width)) is not None]
        return min(tops)[2] if tops else None

    def top(self, width: int) -> tuple[float, int, Row] | None:
        heap = self.heaps.get(width)
        while heap and not heap[0][2].waits:
            heapq.heappop(heap)
        if not heap:
            self.heaps.pop(width, None)
            return None
        return heap[0]


@dataclass(slots=True)
class _Arrivals:
    """How often requests of a width come, and whether waiting for one has paid."""

    last: float = 0.0
    gap: float = 1.0
    luck: float = 1.0
    waiting_since: float = 0.0

    def note(self, now: float) -> None:
        if self.last:
            self.gap += 0.2 * (min(now - self.last, 1.0) - self.gap)
        self.last = now
        if self.waiting_since:
            self.luck += 0.2 * (1 - self.luck)
            self.waiting_since = 0.0


@final
class FairQueue:
    """Rows that wait for one model.

    Args:
        limits: which batches its engine likes.
        most: rows of a batch, at most.
        cost: what calls take.
    """

    def __init__(self, limits: BatchLimits, most: int, cost: CostModel) -> None:
        self._limits, self._most, self._cost = limits, most, cost
        self._lanes: dict[str, _Lane] = {}
        self._like: dict[int, int] = {}
        self._arrivals: dict[int, _Arrivals] = {}
        self._order = itertools.count()
        self._clock = 0.0
        self._gone = 0
        self.rows, self.seconds = 0, 0.0

    def alone(self, features: Sequence[Any]) -> float:
        """Seconds that rows take when each runs for itself."""
        return sum(self._cost.seconds(self.width(length_of(one))) for one in features)

    # -- coming and going -------------------------------------------------------------------------
    def push(self, job: Job) -> None:
        """Queue a request's rows."""
        if not self.rows:
            self._lanes.clear()  # nobody waits: all debts are forgiven
            self._clock, self.seconds = 0.0, 0.0
        job.rows = [self._row(job, place) for place in range(len(job.features))]
        alone = sum(self._cost.seconds(row.width) for row in job.rows)
        due = min(job.arrived + min(PATIENCE, STRETCH * alone), job.deadline - alone)
        lane = self._lane(job.caller)
        for row in job.rows:
            row.due = due
            heapq.heappush(lane.heaps.setdefault(row.width, []), (due, next(self._order), row))
            self._count(row, 1)
        for width in {row.width for row in job.rows}:
            self._arrivals.setdefault(width, _Arrivals()).note(job.arrived)

    def drop(self, job: Job) -> None:
        """Forget the rows of a job that still wait."""
        job.dead = True
        for row in job.rows:
            if row.waits:
                row.waits = False
                self._count(row, -1)
                self._gone += 1
        if self._gone > 256 + self.rows:
            self._sweep()

    def wait(self, caller: str) -> float:
        """Seconds of engine time before a new request of this caller would begin."""
        lane = self._lanes.get(caller)
        active = sum(1 for one in self._lanes.values() if one.rows)
        return min(self.seconds, lane.seconds * active) if lane is not None else 0.0

    # -- taking -----------------------------------------------------------------------------------
    def pause(self, now: float, free_since: float) -> float:
        """Seconds for which the engine had better wait for one more row; 0 to start now.

        With n rows of a width, running now makes the next one wait for a whole call; waiting for
        it delays n rows. Waiting pays while the next is expected within (fixed - n each) / (n + 1).
        """
        row = self._first(now)
        if row is None:
            return 0.0
        fixed, each = self._cost.fit(row.width)
        count, arrivals = self._like[row.width], self._arrivals[row.width]
        worth = (fixed - count * each) / (count + 1)
        start = max(free_since, arrivals.last)
        until = min(start + worth, row.job.deadline - fixed - each)
        if count >= self._fitting(row.width) or arrivals.gap >= worth * arrivals.luck:
            arrivals.luck += 0.01 * (1 - arrivals.luck)
            return 0.0
        if until <= now:
            if arrivals.waiting_since:
                arrivals.luck *= 0.8
                arrivals.waiting_since = 0.0
            return 0.0
        arrivals.waiting_since = now
        return until - now

    def pop(self, now: float, idle: int = 1) -> list[Row]:
        """The next batch: rows of one width; empty when nothing waits.

        Args:
            now: the time.
            idle: streams of the engine that are free, this one included.
        """
        first = self._first(now)
        if first is None:
            return []
        size = self._size(first.width, idle)
        callers = [
            (lane.served, caller) for caller, lane in self._lanes.items() if lane.top(first.width)
        ]
        heapq.heapify(callers)
        chosen: list[Row] = []
        while callers and len(chosen) < size:
            _, caller = heapq.heappop(callers)
            lane = self._lanes[caller]
            row = self._take(lane, first.width)
            if row.job.deadline <= now:
                self.drop(row.job)
            else:
                chosen.append(row)
                self._clock = max(self._clock, lane.served)
                lane.served += row.cost
            if lane.top(first.width):
                heapq.heappush(callers, (lane.served, caller))
        self._prune()
        return chosen if chosen or not self.rows else self.pop(now, idle)

    def _size(self, width: int, idle: int) -> int:
        """Rows of the next batch of a width: what fits, shared with other idle streams."""
        waiting = self._like[width]
        share = -(-waiting // max(1, idle))
        if self.one_by_one(width):
            cost = self._cost.seconds(width)
            return max(1, min(share, self._most, int(QUANTUM / cost) if cost else 1))
        fitting = min(self._fitting(width), max(share, LEAST_TOKENS // width), waiting)
        return round_number(fitting) if self._limits.multiple > 1 else fitting

    def _fitting(self, width: int) -> int:
        if self.one_by_one(width):
            return 1
        return max(1, min(self._limits.rows, self._most, self._limits.tokens // width))

    def width(self, length: int) -> int:
        """What rows of like length share; engines that pad to few widths pad to this one."""
        return width_of(length, max(self._limits.multiple, FEW_WIDTHS))

    def one_by_one(self, width: int) -> bool:
        """Whether rows of this width are never run in one call."""
        return self._limits.rows == 1 or width <= self._limits.alone

    def _first(self, now: float) -> Row | None:
        """The row due first of the caller who was served least; late jobs are dropped."""
        while self.rows:
            waiting = [
                (lane.served, row.due, caller, row)
                for caller, lane in self._lanes.items()
                if (row := lane.first()) is not None
            ]
            row = min(waiting, key=lambda one: one[:3])[3]
            if row.job.deadline > now:
                return row
            self.drop(row.job)
        return None

    def _take(self, lane: _Lane, width: int) -> Row:
        row = heapq.heappop(lane.heaps[width])[2]
        row.waits = False
        self._count(row, -1)
        return row

    # -- keeping count ----------------------------------------------------------------------------
    def _row(self, job: Job, place: int) -> Row:
        width = self.width(length_of(job.features[place]))
        rows = self._fitting(width)
        return Row(job, place, width, max(_LEAST_COST, self._cost.seconds(width, rows) / rows))

    def _lane(self, caller: str) -> _Lane:
        lane = self._lanes.get(caller)
        if lane is None:
            lane = self._lanes[caller] = _Lane(self._clock)
        elif not lane.rows:
            lane.served = max(lane.served, self._clock)
        return lane

    def _count(self, row: Row, sign: int) -> None:
        lane = self._lanes[row.job.caller]
        self.rows += sign
        self.seconds += sign * row.cost
        lane.rows += sign
        lane.seconds += sign * row.cost
        self._like[row.width] = self._like.get(row.width, 0) + sign

    def _prune(self) -> None:
        """Forget callers who wait for nothing and owe nothing, once they are many."""
        if len(self._lanes) < 64:
            return
        for caller, lane in list(self._lanes.items()):
            if not lane.rows and lane.served <= self._clock:
                del self._lanes[caller]

    def _sweep(self) -> None:
        """Take rows that nobody waits for out of the heaps, so that they don't pile up."""
        for lane in self._lanes.values():
            for width, heap in list(lane.heaps.items()):
                lane.heaps[width] = [entry for entry in heap if entry[2].waits]
                heapq.heapify(lane.heaps[width])
        self._gone = 0
