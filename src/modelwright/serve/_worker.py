"""Threads that run what waits for one model, one for each stream of its engine.

A free thread takes the next batch from the queue (`_queue.py`), or first waits a moment where that
pays. Alone a request starts at once; under load requests share calls.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, final

from modelwright.serve._queue import FairQueue, Job, Row
from modelwright.serve._turns import Turns


class ClosingError(Exception):
    """The worker takes no more work."""


@final
class Worker:
    """Runs batches.

    Args:
        name: of the model.
        call: runs the rows it is given and settles jobs that are complete.
        queue: what waits.
        streams: batches that run side by side.
        turns: shared with the other models.
    """

    def __init__(
        self,
        name: str,
        call: Callable[[list[Row]], None],
        queue: FairQueue,
        streams: int,
        turns: Turns,
    ) -> None:
        self._name, self._call, self._queue, self._turns = name, call, queue, turns
        self._changed = threading.Condition()
        self._closing = False
        self._idle = 0
        self._running: dict[int, float] = {}
        turns.join(name, streams)
        self._threads = [
            threading.Thread(target=self._loop, name=f"model-{name}-{number}", daemon=True)
            for number in range(streams)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def depth(self) -> int:
        """Rows that wait."""
        return self._queue.rows

    @property
    def alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def stalled(self, seconds: float) -> bool:
        """Whether a call has been running for longer than that."""
        now = time.monotonic()
        return any(now - began > seconds for began in list(self._running.values()))

    @property
    def backlog(self) -> float:
        """Seconds of work that wait, as far as is known."""
        return self._queue.seconds / len(self._threads)

    def wait(self, caller: str) -> float:
        """Seconds before a request that this caller sends now would begin, as far as is known."""
        with self._changed:
            return self._queue.wait(caller) / len(self._threads)

    def submit(self, job: Job) -> None:
        """Queue a job; raises `ClosingError`."""
        with self._changed:
            if self._closing:
                raise ClosingError
            self._queue.push(job)
            self._changed.notify(min(len(job.rows), len(self._threads)))

    def drop(self, job: Job) -> None:
        """Forget a job: what has not begun of it never will."""
        with self._changed:
            self._queue.drop(job)

    def close(self, timeout: float | None = None) -> None:
        """Answer what waits, then stop the threads."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        end = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))
        self._turns.leave(self._name)

    def _loop(self) -> None:
        me = threading.get_ident()
        while self._wait():
            with self._turns.turn(self._name):
                rows = self._take()
                if not rows:
                    continue
                self._running[me] = time.monotonic()
                try:
                    self._call(rows)
                except BaseException as error:  # noqa: BLE001 - the thread must outlive any model
                    settle([(row.job, error) for row in rows])
                finally:
                    del self._running[me]

    def _wait(self) -> bool:
        """Until there is something to run; False when closed and nothing waits."""
        with self._changed:
            free_since = time.monotonic()
            self._idle += 1
            try:
                while True:
                    if self._queue.rows:
                        now = time.monotonic()
                        if self._closing or self._idle > 1:  # another stream takes the next one
                            return True
                        pause = self._queue.pause(now, free_since)
                        if pause <= 0:
                            return True
                        self._changed.wait(pause)
                    elif self._closing:
                        return False
                    else:
                        self._changed.wait()
            finally:
                self._idle -= 1

    def _take(self) -> list[Row]:
        with self._changed:
            return self._queue.pop(time.monotonic(), self._idle + 1)


def settle(results: list[tuple[Job, Any]]) -> None:
    """Hand jobs their predictions or exceptions, in the event loops that wait for them."""
    by_loop: dict[Any, list[tuple[Job, Any]]] = {}
    for job, result in results:
        by_loop.setdefault(job.loop, []).append((job, result))
    for loop, some in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_deliver, some)


def _deliver(results: list[tuple[Job, Any]]) -> None:
    for job, result in results:
        if job.answer.done():
            continue
        if isinstance(result, BaseException):
            job.answer.set_exception(_told(result))
        else:
            job.answer.set_result(result)


def _told(error: BaseException) -> Exception:
    """An exception that only fails a request: others would end the event loop or get lost in it."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    failure = RuntimeError(f"the model raised {type(error).__name__}")
    failure.__cause__ = error
    return failure
