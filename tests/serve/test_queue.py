"""Which rows run next: fair, urgent first, like lengths together, and nobody starves."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.encoders.limits import BatchLimits
from modelwright.serve._cost import CostModel
from modelwright.serve._queue import PATIENCE, FairQueue, Job, Row

TOKEN = 1e-4
"""Seconds a token in these tests."""


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


class Bench:
    """A queue, a cost model that knows it all, and a clock that the test turns."""

    def __init__(
        self, loop: Any, limits: BatchLimits | None = None, most: int = 32, fixed: float = 0.0
    ) -> None:
        self.loop, self.cost, self.now = loop, CostModel(), 0.0
        for width in (4, 8, 16, 32, 64, 128, 256):
            for rows in (1, 2, 4) * 20:
                self.cost.learn(width, rows, fixed + rows * width * TOKEN)
        self.queue = FairQueue(limits or BatchLimits(), most, self.cost)

    def ask(self, *lengths: int, caller: str = "a", deadline: float = 1e9) -> Job:
        features = [
            {"input_ids": [1] * length, "example": place} for place, length in enumerate(lengths)
        ]
        job = Job(
            features, len(lengths), caller, self.now, deadline, self.loop, self.loop.create_future()
        )
        self.queue.push(job)
        return job

    def pop(self, idle: int = 1) -> list[Row]:
        return self.queue.pop(self.now, idle)

    def all(self) -> list[list[Row]]:
        found = []
        while batch := self.pop():
            found.append(batch)
        return found


def lengths(batch: list[Row]) -> list[int]:
    return [len(row.feature["input_ids"]) for row in batch]


def test_rows_of_like_length_share_a_batch_and_others_do_not(loop: Any):
    bench = Bench(loop)
    bench.ask(10, 100, 12, 16, 97)
    assert sorted(map(lengths, bench.all())) == [[10, 12, 16], [100, 97]]


def test_a_batch_keeps_to_tokens_rows_and_the_services_own_limit(loop: Any):
    for limits, most, expected in (
        (BatchLimits(tokens=64), 32, [4, 4, 2]),
        (BatchLimits(rows=3), 32, [3, 3, 3, 1]),
        (BatchLimits(), 5, [5, 5]),
        (BatchLimits(tokens=1), 32, [1] * 10),
    ):
        bench = Bench(loop, limits, most)
        bench.ask(*[16] * 10)
        assert [len(batch) for batch in bench.all()] == expected


def test_an_engine_that_likes_few_shapes_gets_few(loop: Any):
    bench = Bench(loop, BatchLimits(multiple=8))
    bench.ask(*[16] * 23)
    assert [len(batch) for batch in bench.all()] == [16, 6, 1]


def test_idle_streams_share_what_waits_unless_it_is_little(loop: Any):
    bench = Bench(loop, BatchLimits(workers=2))
    bench.ask(*[64] * 8)
    assert [len(bench.pop(idle=2)), len(bench.pop(idle=1))] == [4, 4]
    bench.ask(*[4] * 8)
    assert len(bench.pop(idle=2)) == 8


def test_rows_that_are_run_one_by_one_are_taken_for_two_milliseconds(loop: Any):
    bench = Bench(loop, BatchLimits(alone=32))
    bench.ask(*[4] * 20)
    assert len(bench.pop()) == 5
    assert bench.queue.one_by_one(4)
    assert not bench.queue.one_by_one(64)


def test_a_short_request_passes_long_ones_that_came_just_before(loop: Any):
    bench = Bench(loop)
    long = bench.ask(256)
    bench.now = 0.01
    short = bench.ask(8)
    assert [batch[0].job for batch in bench.all()] == [short, long]


def test_nobody_is_passed_by_what_came_much_later(loop: Any):
    """A long request under endless short ones begins within the patience and one call."""
    bench = Bench(loop)
    long = bench.ask(256, 256, 256)
    while all(row.waits for row in long.rows):
        bench.ask(8, 8, 8)
        batch = bench.pop()
        bench.now += max(0.001, TOKEN * sum(lengths(batch)))
        assert bench.now < PATIENCE + 0.1


def test_the_earliest_deadline_goes_first(loop: Any):
    bench = Bench(loop)
    late, soon = bench.ask(16, deadline=9.0), bench.ask(256, deadline=0.03)
    assert [batch[0].job for batch in bench.all()] == [soon, late]


def test_a_late_request_is_not_run(loop: Any):
    bench = Bench(loop)
    late = bench.ask(16, 16, deadline=1.0)
    bench.now = 2.0
    fine = bench.ask(16)
    assert [[row.job for row in batch] for batch in bench.all()] == [[fine]]
    assert late.dead
    assert bench.queue.rows == 0


def test_what_is_dropped_is_not_run_and_leaves_no_trace(loop: Any):
    bench = Bench(loop)
    jobs = [bench.ask(16, 16) for _ in range(400)]
    for job in jobs[:-1]:
        bench.queue.drop(job)
    assert bench.queue.rows == 2
    held = sum(len(heap) for lane in bench.queue._lanes.values() for heap in lane.heaps.values())
    assert held < 300
    assert [row.job for batch in bench.all() for row in batch] == [jobs[-1]] * 2
    assert bench.queue.seconds == pytest.approx(0.0)


def test_callers_share_the_engine_however_much_they_ask(loop: Any):
    bench = Bench(loop, most=4)
    greedy, modest = (
        bench.ask(*[16] * 1000, caller="greedy"),
        bench.ask(*[16] * 20, caller="modest"),
    )
    taken = [row.job for _ in range(10) for row in bench.pop()]
    assert taken.count(modest) == taken.count(greedy) == 20


def test_a_caller_who_comes_back_has_no_claim_on_the_past(loop: Any):
    bench = Bench(loop, most=1)
    bench.ask(*[16] * 100, caller="busy")
    for _ in range(50):
        bench.pop()
    bench.ask(*[16] * 40, caller="new")
    callers = Counter(row.job.caller for _ in range(20) for row in bench.pop())
    assert abs(callers["busy"] - callers["new"]) <= 1


def test_the_wait_of_a_caller_is_its_own_and_its_neighbours_share(loop: Any):
    bench = Bench(loop)
    bench.ask(*[16] * 100, caller="greedy")
    assert bench.queue.wait("greedy") == pytest.approx(100 * 16 * TOKEN, rel=0.01)
    assert bench.queue.wait("new") == 0
    bench.ask(16, caller="modest")
    assert bench.queue.wait("modest") == pytest.approx(2 * 16 * TOKEN, rel=0.01)


def test_it_waits_for_more_only_where_calls_have_a_price_of_their_own(loop: Any):
    for fixed, pays in ((0.0, False), (0.1, True)):
        bench = Bench(loop, fixed=fixed)
        for _ in range(30):  # one request a millisecond
            bench.ask(8)
            bench.now += 0.001
        bench.all()
        bench.ask(8)
        assert (bench.queue.pause(bench.now, bench.now) > 0) is pays


def test_it_does_not_wait_where_requests_are_rare_or_a_deadline_is_near(loop: Any):
    bench = Bench(loop, fixed=0.1)
    for _ in range(30):
        bench.ask(8)
        bench.now += 0.9
    bench.all()
    bench.ask(8)
    assert bench.queue.pause(bench.now, bench.now) == 0
    bench = Bench(loop, fixed=0.1)
    for _ in range(30):
        bench.ask(8)
        bench.now += 0.001
    bench.all()
    bench.ask(8, deadline=bench.now + 0.1)
    assert bench.queue.pause(bench.now, bench.now) == 0


def test_it_stops_waiting_when_that_does_not_pay(loop: Any):
    """Eight callers who wait for their answers send no ninth request, however quick they were."""
    bench, waited = Bench(loop, fixed=0.1), 0
    for _ in range(40):
        for _ in range(8):
            bench.ask(8)
            bench.now += 0.0001
        if pause := bench.queue.pause(bench.now, bench.now):
            waited += 1
            bench.now += pause
            bench.queue.pause(bench.now, bench.now - pause)
        bench.pop()
    assert waited < 35
    assert bench.queue._arrivals[8].luck < 0.5


REQUESTS = st.lists(
    st.tuples(
        st.lists(st.sampled_from([3, 8, 9, 16, 40, 200]), min_size=1, max_size=12),
        st.sampled_from("abc"),
        st.sampled_from([0.001, 0.5, 1e9]),
        st.floats(0, 0.05),
        st.booleans(),
    ),
    max_size=25,
)
LIMITS = st.builds(
    BatchLimits,
    tokens=st.sampled_from([16, 512, 8192]),
    rows=st.sampled_from([1, 4, 64]),
    multiple=st.sampled_from([1, 8]),
    workers=st.sampled_from([1, 2]),
    alone=st.sampled_from([0, 32]),
)


@settings(max_examples=150, deadline=None)
@given(requests=REQUESTS, limits=LIMITS, idle=st.integers(1, 2))
def test_every_row_runs_once_or_its_request_was_dropped(
    requests: list[Any], limits: BatchLimits, idle: int
):
    loop = asyncio.new_event_loop()
    bench, jobs, taken = Bench(loop, limits), [], Counter[int]()

    def run() -> None:
        batch = bench.pop(idle)
        widths = {row.width for row in batch}
        assert len(widths) <= 1
        if len(batch) > 1 and not bench.queue.one_by_one(batch[0].width):
            assert batch[0].width * len(batch) <= limits.tokens
            assert len(batch) <= limits.rows
        taken.update(id(row) for row in batch)

    for rows, caller, seconds, passed, dropped in requests:
        jobs.append(bench.ask(*rows, caller=caller, deadline=bench.now + seconds))
        bench.now += passed
        run()
        if dropped:
            bench.queue.drop(jobs[-1])
    while bench.queue.rows:
        run()
    for job in jobs:
        counts = [taken[id(row)] for row in job.rows]
        assert max(counts) <= 1
        assert min(counts) == 1 or job.dead
    assert bench.queue.seconds == pytest.approx(0, abs=1e-6)
    loop.close()
