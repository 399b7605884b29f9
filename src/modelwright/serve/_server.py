"""uvicorn as the service runs it: our signals, and the admin port beside the routes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import final

import uvicorn


@dataclass(frozen=True, slots=True)
class Hooks:
    """What is done beside serving.

    Attributes:
        started: when the ports listen.
        stopping: when a signal, or the end of the parent process, asks to stop.
    """

    started: Callable[[], None]
    stopping: Callable[[], None]


@final
class Beside(uvicorn.Server):
    """The admin port's; it ends when the other one does."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@final
class Main(uvicorn.Server):
    """uvicorn with our signals: it would die of the signal instead of returning.

    Args:
        config: of the routes.
        hooks: see `Hooks`.
        beside: the admin port's server and its socket, where there is one.
    """

    def __init__(
        self, config: uvicorn.Config, hooks: Hooks, beside: tuple[Beside, socket.socket] | None
    ) -> None:
        super().__init__(config)
        self._hooks, self._beside = hooks, beside
        self.stopped_by: list[signal.Signals] = []

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop, number)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._beside is not None:
            server, listener = self._beside
            self._serving = asyncio.create_task(server.serve([listener]))
        self._hooks.started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._beside is not None:
            self._beside[0].should_exit = True
            await self._serving
        await super().shutdown(sockets)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Drain and return; when asked again, without answering what runs."""
        self._hooks.stopping()
        if self.stopped_by:
            self.force_exit = True
        self.stopped_by.append(number)
        self.should_exit = True
