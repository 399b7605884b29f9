"""How much later things come than the engine's time alone says: the event loop has its own queue.

Under load a request waits for the loop to read it, for a call that is running, for the loop to hear
that its answer is there, and for processors that are shared. None of it is known beforehand, all of it
is seen: each answered request tells how late it came beside what was expected of it, and a timer
tells how long the loop takes to come round.
"""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop, TimerHandle
from typing import final

TICK_S = 0.02
LEARN, LEARN_TURN = 0.05, 0.1
"""What one request, and one tick, counts for."""
SWINGS = 2.0
"""Mean deviations beyond the mean lateness that are reckoned with."""
FORGET_S = 1.0
"""Lateness halves in so many seconds in which nobody was answered."""


@final
class Pace:
    """How late a model's answers come, and how far that swings. Used from the event loop alone."""

    __slots__ = ("_late", "_noted", "_swing")

    def __init__(self) -> None:
        self._late = self._swing = self._noted = 0.0

    def note(self, expected: float, now: float) -> None:
        """An answer came that was expected at a time."""
        error = now - expected
        self._swing += LEARN * (abs(error - self._late) - self._swing)
        self._late += LEARN * (error - self._late)
        self._noted = now

    def margin(self, now: float) -> float:
        """Seconds by which an answer may come later than expected."""
        found = max(0.0, self._late + SWINGS * self._swing)
        silent = now - self._noted
        return found * 0.5 ** (silent / FORGET_S) if silent > FORGET_S else found


@final
class LoopClock:
    """How long the event loop takes to come round to something that is due.

    Attributes:
        turn: seconds, on average.
    """

    __slots__ = ("_due", "_loop", "_timer", "turn")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop, self.turn = loop, 0.0
        self._timer: TimerHandle
        self._plan()

    def stop(self) -> None:
        """Tick no more."""
        self._timer.cancel()

    def _plan(self) -> None:
        self._due = time.monotonic() + TICK_S
        self._timer = self._loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        late = max(0.0, time.monotonic() - self._due)
        self.turn += LEARN_TURN * (late - self.turn)
        self._plan()
