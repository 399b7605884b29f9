"""Timing several subjects in turn, in short blocks, so that a noisy machine falls on all alike.

Blocks rather than single calls: a runtime's threads go on spinning for a moment after a call, and
would take a core from whoever comes next. A block's first calls are not counted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

BLOCK_SECONDS = 0.3
RESAMPLES = 1000
MOST_SECONDS, LEAST_ROUNDS = 300, 6
"""On a busy machine throughput is measured with fewer rounds; the rows tell how many calls."""


@dataclass(frozen=True)
class Times:
    """A subject's calls, a list for each round: seconds, rows, and which call it was."""

    seconds: list[list[float]] = field(default_factory=list)
    rows: list[list[int]] = field(default_factory=list)
    calls: list[list[int]] = field(default_factory=list)

    def p50_ms(self) -> float:
        """Median of all calls."""
        return 1000 * float(np.median(np.concatenate(self.seconds)))

    def p95_ms(self) -> float:
        """95th percentile of all calls."""
        return 1000 * float(np.quantile(np.concatenate(self.seconds), 0.95))

    def per_second(self) -> float:
        """Rows over time of all calls."""
        return sum(map(sum, self.rows)) / sum(map(sum, self.seconds))

    def runs(self) -> int:
        """Calls that were timed."""
        return sum(map(len, self.seconds))

    def best(self) -> float:
        """Seconds of all calls, each at its quickest: what is left when nobody disturbs."""
        quickest: dict[int, float] = {}
        for calls, times in zip(self.calls, self.seconds, strict=True):
            for call, seconds in zip(calls, times, strict=True):
                quickest[call] = min(seconds, quickest.get(call, seconds))
        return sum(quickest.values())

    def pick(self, index: np.ndarray) -> Times:
        """Some rounds."""
        return Times([self.seconds[i] for i in index], [self.rows[i] for i in index])

    def add(self, work: Any, calls: Sequence[int], seconds: Sequence[float]) -> None:
        """One round more."""
        self.seconds.append(list(seconds))
        self.rows.append([len(work.inputs[call]) for call in calls])
        self.calls.append(list(calls))


def latency(subjects: Sequence[Any], work: Any, rounds: int, block: int) -> dict[str, Times]:
    """Single calls: `block` timed calls of every subject a round, three before them untimed."""
    found: dict[str, Times] = {subject.name: Times() for subject in subjects}
    rng = np.random.default_rng(0)
    for number in range(rounds):
        calls = [(number * block + at) % len(work) for at in range(-3, block)]
        for at in rng.permutation(len(subjects)):
            seconds = subjects[at].seconds(work, calls)
            found[subjects[at].name].add(work, calls[3:], seconds[3:])
    return found


def throughput(subjects: Sequence[Any], work: Any, rounds: int, chunk: int) -> dict[str, Times]:
    """Calls of many rows: the next `chunk` calls of every subject a round, quick ones repeated.

    Every call is made once before, untimed: runtimes prepare themselves for each new shape.
    """
    for subject in subjects:
        subject.seconds(work, range(min(len(work), rounds * chunk)))
    found: dict[str, Times] = {subject.name: Times() for subject in subjects}
    rng = np.random.default_rng(0)
    starts = list(range(0, len(work), chunk))
    started = time.perf_counter()
    for number in range(rounds):
        if number >= LEAST_ROUNDS and time.perf_counter() - started > MOST_SECONDS:
            break
        first = starts[number % len(starts)]
        calls = list(range(first, min(first + chunk, len(work))))
        for at in rng.permutation(len(subjects)):
            subject = subjects[at]
            warm = sum(subject.seconds(work, calls[:1])) * len(calls)
            repeats = max(1, min(10, round(BLOCK_SECONDS / warm)))
            again = calls * repeats
            found[subject.name].add(work, again, subject.seconds(work, again))
    return found


def ratio(slow: Times, fast: Times, kind: str) -> dict[str, float]:
    """How many times faster, with its 95% interval by bootstrap over rounds.

    Args:
        slow: of the one compared with.
        fast: of the one that is hoped to be faster.
        kind: p50_ms or per_second.

    Returns:
        `ratio`, `low`, `high`, and `ratio_of_quickest`: the same with every call at its quickest.
    """

    def of(index: np.ndarray) -> float:
        first = getattr(slow.pick(index), kind)()
        second = getattr(fast.pick(index), kind)()
        return first / second if kind == "p50_ms" else second / first

    rounds, rng = len(slow.seconds), np.random.default_rng(0)
    drawn = [of(rng.integers(0, rounds, rounds)) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return {
        "ratio": of(np.arange(rounds)),
        "low": float(low),
        "high": float(high),
        "ratio_of_quickest": slow.best() / fast.best(),
    }
