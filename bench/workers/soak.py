"""Asks a service at a steady rate, with hostile requests among the others, and counts what came.

    python soak.py --port N --model NAME --requests FILE --rate 700 --hostile 0.02 --seconds 1800

Requests are sent when they are due, whatever became of those before them. FILE is that of load.py.
A good request is answered (200), refused (429 and 503 with Retry-After, 504), or lost: any other
status, no answer, or a connection that broke. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

from hostile import CLOSED, KINDS
from load import HEADER_END, PATIENCE, Connection, endless, percentiles, read_body

REFUSED = ("429", "503", "504")
MOST_OPEN, IDLE_S = 2000, 20.0
KEPT = 500_000
"""Latencies, for the percentiles."""


def main() -> None:
    """Run one soak and print its figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--hostile", type=float, required=True, help="share of the requests")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    print(json.dumps(asyncio.run(Soak(parser.parse_args()).run())))


class Soak:
    """One soak of one service."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.chance = random.Random(options.seed)
        self.requests = endless(options.requests)
        self.good: Counter[str] = Counter()
        self.hostile: dict[str, Counter[str]] = {name: Counter() for name in KINDS}
        self.seconds: list[float] = []
        self.idle: list[tuple[float, Connection]] = []

    async def run(self) -> dict[str, Any]:
        """Send, wait for the last answers, and tell."""
        running: set[asyncio.Task[None]] = set()
        due = time.perf_counter()
        end = due + self.options.seconds
        names = list(KINDS)
        while due < end:
            if (pause := due - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            if self.chance.random() < self.options.hostile:
                work = self._hostile(self.chance.choice(names))
            else:
                work = self._good(due)
            if len(running) < MOST_OPEN:
                task = asyncio.create_task(work)
                running.add(task)
                task.add_done_callback(running.discard)
            else:
                work.close()
                self.good["not sent"] += 1
            due += 1.0 / self.options.rate
        await asyncio.gather(*running)
        for _, connection in self.idle:
            connection.close()
        return self._told()

    def _told(self) -> dict[str, Any]:
        answered = self.good.pop("200", 0)
        refused = {name: self.good.pop(name) for name in REFUSED if name in self.good}
        unsent = self.good.pop("not sent", 0)
        wrong = {
            name: {
                status: count for status, count in seen.items() if status not in KINDS[name].right
            }
            for name, seen in self.hostile.items()
        }
        return {
            "answered": answered,
            "refused": refused,
            "lost": dict(self.good),
            "not_sent": unsent,
            "hostile": {name: dict(seen) for name, seen in self.hostile.items()},
            "hostile_wrong": {name: seen for name, seen in wrong.items() if seen},
            **percentiles(sorted(self.seconds)),
        }

    async def _good(self, due: float) -> None:
        _, request = next(self.requests)
        options = self.options
        connection = self._kept() or Connection(options.host, options.port)
        status = await connection.ask(request)
        self.idle.append((time.monotonic(), connection))
        self.good[status] += 1
        if status == "200" and len(self.seconds) < KEPT:
            self.seconds.append(time.perf_counter() - due)

    def _kept(self) -> Connection | None:
        """The connection that was used last; those that were not for long are closed, as HTTP
        clients do: a service closes them, too, and a request may meet that."""
        long_ago = time.monotonic() - IDLE_S
        while self.idle and self.idle[0][0] < long_ago:
            self.idle.pop(0)[1].close()
        return self.idle.pop()[1] if self.idle else None

    async def _hostile(self, name: str) -> None:
        kind = KINDS[name]
        data = kind.make(self.chance).replace(b"{model}", self.options.model.encode(), 1)
        try:
            async with asyncio.timeout(2 * PATIENCE):
                status = await self._sent(data, kind.hangs_up)
        except TimeoutError:
            status = "no answer"
        self.hostile[name][status] += 1

    async def _sent(self, data: bytes, hangs_up: bool) -> str:
        """A connection of its own; the status, or `CLOSED`."""
        writer = None
        try:
            reader, writer = await asyncio.open_connection(self.options.host, self.options.port)
            writer.write(data)
            await writer.drain()
            if hangs_up:
                return CLOSED
            head = await reader.readuntil(HEADER_END)
            lines = head.lower().split(b"\r\n")
            await read_body(reader, lines)
            return lines[0].split()[1].decode()
        except (OSError, EOFError, ValueError):
            return CLOSED
        finally:
            if writer is not None:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()


if __name__ == "__main__":
    main()
