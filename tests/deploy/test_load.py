"""The callers: a service that falls behind is seen to, and what fails is counted as failed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from modelwright.deploy._load import Callers, Outcome

ANSWER = b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"


async def _with_server(handler: Handler, use: Callable[[Callers], Awaitable[Outcome]]) -> Outcome:
    writers: list[asyncio.StreamWriter] = []

    async def kept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await handler(reader, writer)

    server = await asyncio.start_server(kept, "127.0.0.1", 0)
    callers = Callers(server.sockets[0].getsockname()[1], [REQUEST])
    try:
        return await use(callers)
    finally:
        callers.close()
        server.close()
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def _answering(status: int, gate: asyncio.Event | None = None) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                writer.close()
                return
            if gate is not None:
                await gate.wait()
            writer.write(ANSWER % status)

    return handle


def test_arrivals_do_not_wait_for_answers_and_latency_counts_from_arrival() -> None:
    async def run() -> Outcome:
        gate = asyncio.Event()

        async def use(callers: Callers) -> Outcome:
            asyncio.get_running_loop().call_later(0.5, gate.set)
            return await callers.arrive(rate=200, seconds=0.4, patience=5)

        return await _with_server(_answering(200, gate), use)

    outcome = asyncio.run(run())
    assert outcome.sent > 40
    assert outcome.answered == 1.0
    # the first ones waited for nearly all of the half second, the last ones for a tenth
    assert outcome.percentile(0.99) > 400
    assert outcome.percentile(0.0) < 300


@pytest.mark.parametrize("status", [503, 429, 500, 504])
def test_what_is_refused_is_not_answered(status: int) -> None:
    outcome = asyncio.run(
        _with_server(_answering(status), lambda callers: callers.arrive(100, 0.2, 1))
    )
    assert outcome.sent
    assert outcome.answered == 0.0
    assert outcome.percentile(0.99) == 0.0


def test_a_connection_that_closes_counts_as_failed_and_the_next_request_opens_another() -> None:
    seen = []

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        seen.append(1)
        writer.close()

    outcome = asyncio.run(_with_server(closing, lambda callers: callers.arrive(50, 0.3, 1)))
    assert outcome.sent == len(seen) > 3
    assert outcome.answered == 0.0


def test_an_answer_that_never_comes_ends_with_the_patience() -> None:
    async def run() -> Outcome:
        return await _with_server(
            _answering(200, asyncio.Event()), lambda callers: callers.arrive(50, 0.1, patience=0.2)
        )

    outcome = asyncio.run(asyncio.wait_for(run(), 5))
    assert outcome.answered == 0.0


def test_nobody_listening_is_all_failed() -> None:
    async def run() -> Outcome:
        server = await asyncio.start_server(_answering(200), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        return await Callers(port, [REQUEST]).arrive(50, 0.1, 1)

    outcome = asyncio.run(run())
    assert outcome.sent
    assert outcome.answered == 0.0
