"""Requests that come when they come, whether earlier ones were answered or not.

An open loop: the times of arrival are drawn before, and a request's latency counts from its time of
arrival, so that a service that falls behind is seen to. Connections are kept and used again; where
none is free a new one is opened, up to a bound, beyond which a request waits here and its clock runs.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast, final

CONNECTIONS = 256
"""Open at once, at most."""
_END = b"\r\n\r\n"


@final
@dataclass
class Outcome:
    """What became of the requests of a step.

    Attributes:
        sent: requests that arrived.
        latencies: seconds from arrival to the answer, of those answered with 200.
    """

    sent: int = 0
    latencies: list[float] = field(default_factory=list)

    @property
    def answered(self) -> float:
        """Share of the requests that got an answer and no error."""
        return len(self.latencies) / self.sent if self.sent else 0.0

    def percentile(self, share: float) -> float:
        """Milliseconds within which so many of the answers came; 0 without answers."""
        if not self.latencies:
            return 0.0
        ordered = sorted(self.latencies)
        place = min(len(ordered) - 1, int(share * len(ordered)))
        return 1000 * ordered[place]


@final
class _Connection(asyncio.Protocol):
    """One kept connection; one request at a time."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._waiter: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """Send; the future gives the status, 0 for a connection that closed."""
        self._waiter = asyncio.get_running_loop().create_future()
        if self.closed or self._transport is None:
            self._waiter.set_result(0)
        else:
            self._transport.write(request)
        return self._waiter

    @property
    def closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def data_received(self, data: bytes) -> None:
        self._held += data
        end = self._held.find(_END)
        if end < 0:
            return
        head = bytes(self._held[:end]).lower()
        _, found, rest = head.partition(b"content-length:")
        length = int(rest.split(b"\r\n", 1)[0]) if found else 0
        if len(self._held) >= end + len(_END) + length:
            self._held.clear()
            self._answer(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._answer(0)

    def _answer(self, status: int) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(status)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


@final
class Callers:
    """Everybody who asks one service.

    Args:
        port: on this machine.
        requests: whole requests as bytes; they are sent in turn.
        seed: of the times of arrival.
    """

    def __init__(self, port: int, requests: Sequence[bytes], seed: int = 0) -> None:
        self._port, self._requests, self._random = port, requests, random.Random(seed)
        self._idle: deque[_Connection] = deque()
        self._room = asyncio.Semaphore(CONNECTIONS)
        self._next = 0

    async def crowd(self, callers: int, seconds: float) -> Outcome:
        """So many callers who each ask again as soon as they are answered: a closed loop."""
        outcome, until = Outcome(), time.perf_counter() + seconds

        async def caller() -> None:
            while (now := time.perf_counter()) < until:
                await self._one(now, outcome)

        await asyncio.gather(*(caller() for _ in range(callers)))
        return outcome

    async def arrive(self, rate: float, seconds: float, patience: float) -> Outcome:
        """Requests at random times, `rate` a second on average: an open loop.

        Args:
            rate: requests a second.
            seconds: for how long they come.
            patience: seconds after the last one; what is not answered then has failed.
        """
        outcome, running = Outcome(), set[asyncio.Task[None]]()
        began, at = time.perf_counter(), 0.0
        while at < seconds:
            at += self._random.expovariate(rate)
            if (pause := began + at - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            task = asyncio.create_task(self._one(began + at, outcome))
            running.add(task)
            task.add_done_callback(running.discard)
        if running:
            await asyncio.wait(running, timeout=patience)
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        return outcome

    async def _one(self, arrived: float, outcome: Outcome) -> None:
        outcome.sent += 1
        async with self._room:
            connection = self._idle.pop() if self._idle else None
            try:
                if connection is None or connection.closed:
                    connection = await self._open()
                self._next += 1
                status = await connection.ask(self._requests[self._next % len(self._requests)])
            except asyncio.CancelledError:
                if connection is not None:
                    connection.close()
                raise
            except OSError:
                return
            if status == 200:
                outcome.latencies.append(time.perf_counter() - arrived)
            self._idle.append(connection)

    async def _open(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(_Connection, "127.0.0.1", self._port)
        return made

    def close(self) -> None:
        """Close every connection."""
        for connection in self._idle:
            connection.close()
