"""Puts load on an HTTP service and says what came of it; the standard library alone.

    python load.py --port N --requests FILE --clients 64 --seconds 8          closed loop
    python load.py --port N --requests FILE --rate 900 --seconds 8            open loop

Closed: each client sends its next request when the last one is answered. Open: requests are sent
when they are due, whatever became of those before them, and latency counts from when they were due.
FILE holds a request a line, base64 of its bytes on the wire, with a group's name before it.
Requests are taken in order, round and round; the first WARM_UP seconds are not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import json
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WARM_UP = 1.5
PATIENCE = 10.0
"""Seconds after which an unanswered request counts as lost."""
MOST_OPEN = 2_000
"""Connections of the open loop."""
HEADER_END = b"\r\n\r\n"


def main() -> None:
    """Run one load and print its figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument(
        "--until", type=Path, help="the closed loop ends early when this file is there"
    )
    parser.add_argument("--within", type=float, default=0.1, help="seconds, for the goodput")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(Load(options).run())))


@dataclass
class Seen:
    """What was answered, by group: latencies of good answers, and classes of the others."""

    good: dict[str, list[float]] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)

    def note(self, group: str, status: str, seconds: float) -> None:
        if status == "200":
            self.good.setdefault(group, []).append(seconds)
        else:
            self.errors[status] += 1

    def told(self, seconds: float, within: float) -> dict[str, Any]:
        every = sorted(itertools.chain.from_iterable(self.good.values()))
        return {
            "seconds": round(seconds, 3),
            "answered": len(every),
            "per_second": round(len(every) / seconds, 2),
            "goodput": round(sum(one <= within for one in every) / seconds, 2),
            "errors": dict(self.errors),
            **percentiles(every),
            "groups": {name: percentiles(sorted(found)) for name, found in self.good.items()},
        }


def percentiles(ordered: list[float]) -> dict[str, float | None]:
    """`p50_ms` and `p99_ms` of sorted seconds; None where there are none."""

    def at(share: float) -> float | None:
        return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)

    return {"p50_ms": at(0.5) if ordered else None, "p99_ms": at(0.99) if ordered else None}


class Load:
    """One load on one service."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.requests = endless(options.requests)
        self.seen = Seen()
        self.begun = 0.0
        self.idle: deque[Connection] = deque()

    async def run(self) -> dict[str, Any]:
        """Warm up, measure, and tell."""
        options = self.options
        self.begun = time.perf_counter() + WARM_UP
        end = self.begun + options.seconds
        if options.rate:
            await self._open_loop(end)
        else:
            await asyncio.gather(*(self._client(end) for _ in range(options.clients)))
        seconds = min(options.seconds, time.perf_counter() - self.begun)
        return self.seen.told(options.seconds if options.rate else seconds, options.within)

    async def _client(self, end: float) -> None:
        connection = Connection(self.options.host, self.options.port)
        until = self.options.until
        while (now := time.perf_counter()) < end and not (until and until.exists()):
            await self._ask(connection, now, end)
        connection.close()

    async def _open_loop(self, end: float) -> None:
        running: set[asyncio.Task[None]] = set()
        due = time.perf_counter()
        while due < end:
            if (pause := due - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            if len(running) < MOST_OPEN:
                task = asyncio.create_task(self._open_one(due, end + PATIENCE))
                running.add(task)
                task.add_done_callback(running.discard)
            elif due >= self.begun:
                self.seen.errors["no connection left"] += 1
            due += 1.0 / self.options.rate
        await asyncio.gather(*running)
        for connection in self.idle:
            connection.close()

    async def _open_one(self, due: float, end: float) -> None:
        connection = (
            self.idle.popleft() if self.idle else Connection(self.options.host, self.options.port)
        )
        await self._ask(connection, due, end)
        self.idle.append(connection)

    async def _ask(self, connection: Connection, due: float, end: float) -> None:
        group, request = next(self.requests)
        status = await connection.ask(request)
        now = time.perf_counter()
        if due >= self.begun and now <= end:
            self.seen.note(group, status, now - due)


class Connection:
    """One keep-alive connection; it is opened again when it was closed."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> str:
        """The status of the answer, or what went wrong."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._ask(request)
        except TimeoutError:
            self.close()
            return "no answer"
        except (OSError, EOFError, ValueError) as error:
            self.close()
            return type(error).__name__

    async def _ask(self, request: bytes) -> str:
        if self.streams is None:
            self.streams = await asyncio.open_connection(self.host, self.port)
        reader, writer = self.streams
        writer.write(request)
        head = await reader.readuntil(HEADER_END)
        lines = head.lower().split(b"\r\n")
        await read_body(reader, lines)
        if b"connection: close" in lines:
            self.close()
        return lines[0].split()[1].decode()

    def close(self) -> None:
        """Drop the connection."""
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


async def read_body(reader: asyncio.StreamReader, lines: list[bytes]) -> None:
    """Read an answer's body to its end, by its length or in chunks."""
    fields = dict(line.split(b": ", 1) for line in lines if b": " in line)
    if fields.get(b"transfer-encoding") == b"chunked":
        while size := int((await reader.readline()).split(b";")[0], 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    else:
        await reader.readexactly(int(fields.get(b"content-length", b"0")))


def endless(path: Path) -> Iterator[tuple[str, bytes]]:
    """The file's requests, round and round."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    return itertools.cycle([(group, base64.b64decode(text)) for group, text in lines])


if __name__ == "__main__":
    main()
