"""A thread that runs what waits for one model, several requests in one call.

Nobody waits for a batch to fill: when the model is free it takes what is there, up to `max_batch`
inputs. Under load requests therefore share calls; alone a request starts at once. The queue is
bounded in inputs and in bytes, so that overload is told (`QueueFullError`) instead of growing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, final


class QueueFullError(Exception):
    """The queue is full, or the worker is closing."""


@dataclass(slots=True, eq=False)
class Job:
    """One request's inputs, what they weigh, and where its answer goes.

    Attributes:
        inputs: valid examples.
        size: bytes that the request took.
        answer: gets the list of predictions, or the exception.
        arrived: `time.perf_counter()` when it was queued.
    """

    inputs: Sequence[Any]
    size: int
    answer: Future[list[dict[str, Any]]] = field(default_factory=Future)
    arrived: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Most inputs a call, most inputs and bytes waiting."""

    batch: int
    items: int
    bytes: int


@final
class Worker:
    """Runs jobs one batch after another.

    Args:
        name: of the thread.
        call: answers every job it is given; whatever it raises becomes those jobs' answer.
        limits: see `QueueLimits`.
    """

    def __init__(self, name: str, call: Callable[[list[Job]], None], limits: QueueLimits) -> None:
        self._call, self._limits = call, limits
        self._waiting: deque[Job] = deque()
        self._items = self._bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._loop, name=f"model-{name}", daemon=True)
        self._thread.start()

    @property
    def depth(self) -> int:
        """Inputs that wait."""
        return self._items

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def submit(self, job: Job) -> None:
        """Queue a job. A request that would wait alone is always taken.

        Raises:
            QueueFullError: the queue is full or closing.
        """
        with self._changed:
            full = (
                self._items + len(job.inputs) > self._limits.items
                or self._bytes + job.size > self._limits.bytes
            )
            if self._closing or (full and self._waiting):
                raise QueueFullError
            self._waiting.append(job)
            self._items += len(job.inputs)
            self._bytes += job.size
            self._changed.notify()

    def close(self, timeout: float | None = None) -> None:
        """Answer what waits, then stop the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)

    def _loop(self) -> None:
        while jobs := self._take():
            running = [job for job in jobs if job.answer.set_running_or_notify_cancel()]
            if not running:
                continue
            try:
                self._call(running)
            except BaseException as error:  # noqa: BLE001 - the thread must outlive any model
                for job in running:
                    if not job.answer.done():
                        job.answer.set_exception(error)

    def _take(self) -> list[Job]:
        """Wait for work; an empty list means that the worker is closed and nothing waits."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            jobs: list[Job] = []
            items = 0
            while self._waiting:
                following = len(self._waiting[0].inputs)
                if jobs and items + following > self._limits.batch:
                    break
                jobs.append(self._waiting.popleft())
                items += following
            self._items -= items
            self._bytes -= sum(job.size for job in jobs)
            return jobs
