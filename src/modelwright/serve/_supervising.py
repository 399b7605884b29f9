"""A small parent process that replaces the serving one when it is killed or stands still.

It opens the ports and forks before anything heavy is loaded. The ports stay open while a new process
starts, so that callers who come meanwhile wait instead of being refused; those that were being
answered see their connections closed at once, and may ask again.

Over the line between them the serving process sends a beat a second as soon as it is ready, while
its models make progress. When the beats stop, or do not begin, it is killed and replaced. Before it
drains it says so, and the parent closes the ports, too. When the line closes the parent is gone, and
the serving process drains.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, final

BEAT_S = 1.0
SOON_S = 10.0
"""A process that dies so soon after its start makes the next one wait."""
LONGEST_PAUSE_S = 10.0
START_S = 600.0
"""Without a beat for so long after its start a process is taken to hang."""
_BEAT, _STOPPING = b".", b"!"
_ASKED = (signal.SIGTERM, signal.SIGINT)
_LOG = logging.getLogger("modelwright.serve")


@final
class Line:
    """The serving process's end of the line to its parent.

    Args:
        end: of the line.
        restarts: processes that were replaced before this one.
    """

    def __init__(self, end: socket.socket, restarts: int) -> None:
        self._end, self.restarts = end, restarts
        self._beating: asyncio.Task[None] | None = None

    def ready(self, orphaned: Callable[[], None], live: Callable[[], bool]) -> None:
        """Beat from now on, while `live` says so. From the event loop.

        Args:
            orphaned: is called when the parent is gone.
            live: whether there is progress.
        """
        loop = asyncio.get_running_loop()

        def closed() -> None:
            loop.remove_reader(self._end)
            orphaned()

        self._end.setblocking(False)
        loop.add_reader(self._end, closed)
        self._send(_BEAT)
        self._beating = loop.create_task(self._beat(live))

    def stopping(self) -> None:
        """Say that the ports are closed from now on."""
        self._send(_STOPPING)

    async def _beat(self, live: Callable[[], bool]) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            if live():
                self._send(_BEAT)

    def _send(self, sign: bytes) -> None:
        with suppress(OSError):  # the parent is stopped, and reads the earlier ones later; or gone
            self._end.send(sign)


def supervised(
    serve: Callable[[Line | None], int], ports: Sequence[socket.socket], stall_s: float
) -> int:
    """Run `serve` in a child process; again when it is killed. Where nothing forks, in this one.

    Args:
        serve: loads and serves until SIGTERM or SIGINT; its exit code is final.
        ports: that it listens on.
        stall_s: seconds without a beat after which the child is killed.

    Returns:
        The exit code of `serve`; 1 when it was killed before it was ready or while it stopped.
    """
    if not hasattr(os, "fork"):
        return serve(None)
    return _Parent(serve, ports, stall_s).run()


@final
class _Parent:
    """Starts, watches and replaces the child.

    Signals to stop are passed on once each; the child has a process group of its own, so that
    Ctrl-C does not reach it twice.
    """

    def __init__(
        self,
        serve: Callable[[Line | None], int],
        ports: Sequence[socket.socket],
        stall_s: float,
    ) -> None:
        self._serve, self._ports, self._stall_s = serve, ports, stall_s
        self._child = self._restarts = 0
        self._ready = self._stopping = False
        self._before: dict[int, Any] = {}

    def run(self) -> int:
        self._before = {number: signal.signal(number, self._ask) for number in _ASKED}
        quick = 0
        try:
            while True:
                began = time.monotonic()
                code = self._once()
                if code >= 0:
                    return code
                _LOG.error("the serving process died of %s", signal.strsignal(-code))
                quick = quick + 1 if time.monotonic() - began < SOON_S else 0
                pause = min(LONGEST_PAUSE_S, 0.1 * 2**quick) if quick > 1 else 0.0
                if not self._ready or self._stopping or self._stopped_within(pause):
                    return 1
                self._restarts += 1
                _LOG.error("the serving process is started again")
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _once(self) -> int:
        """One child from start to end: its exit code, or less than 0 for the signal that ended it."""
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, _ASKED)
        self._child = os.fork()
        if not self._child:
            os.setpgid(0, 0)
            ours.close()
            for number, handler in self._before.items():
                signal.signal(number, handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKED)
            sys.exit(self._serve(Line(theirs, self._restarts)))
        theirs.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKED)
        if self._stopping:  # asked while there was no child to pass it on to
            os.kill(self._child, signal.SIGTERM)
        with ours:
            self._watch(ours)
        _, status = os.waitpid(self._child, 0)
        self._child = 0
        return os.waitstatus_to_exitcode(status)

    def _watch(self, ours: socket.socket) -> None:
        """Until the child has closed its end, that is, has died.

        What is missed is counted in turns of this loop, not by a clock: both processes may have
        been stopped together.
        """
        missed, beating = 0, False
        while True:
            if not select.select([ours], [], [], BEAT_S)[0]:
                missed += 1
                if missed * BEAT_S > (most := self._stall_s if beating else START_S):
                    _LOG.error("the serving process made no progress for %g s", most)
                    os.kill(self._child, signal.SIGKILL)
                    return
                continue
            signs = _received(ours)
            if not signs:
                return
            missed, beating, self._ready = 0, True, True
            if _STOPPING in signs:
                self._stopping = True
                for port in self._ports:
                    port.close()

    def _ask(self, number: int, _frame: Any) -> None:
        self._stopping = True
        if self._child:
            with suppress(ProcessLookupError):
                os.kill(self._child, number)

    def _stopped_within(self, seconds: float) -> bool:
        """Wait; True when asked to stop meanwhile."""
        until = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < until:
            time.sleep(0.05)
        return self._stopping


def _received(end: socket.socket) -> bytes:
    """What came over a line; nothing when it is closed."""
    try:
        return end.recv(4096)
    except ConnectionError:
        return b""
