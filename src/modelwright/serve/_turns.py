"""Models that share a machine take turns: who had the least time goes first."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final


@final
class Turns:
    """Lets as many calls run at once as the model with the most streams wants for itself.

    With one model nobody ever waits here.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._slots = self._running = 0
        self._used: dict[str, float] = {}
        self._clock = 0.0  # the share of who began last; nobody who comes later has had less
        self._waiting: Counter[str] = Counter()

    def join(self, model: str, streams: int) -> None:
        """Announce a model and how many calls it runs side by side."""
        with self._changed:
            self._slots = max(self._slots, streams)
            self._used[model] = self._clock

    def leave(self, model: str) -> None:
        """Forget a model."""
        with self._changed:
            self._used.pop(model, None)
            self._changed.notify_all()

    @contextmanager
    def turn(self, model: str) -> Iterator[None]:
        """Wait for the model's turn; the time inside is what it is charged for."""
        self._begin(model)
        began = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                if model in self._used:
                    self._used[model] += time.monotonic() - began
                self._changed.notify_all()

    def _begin(self, model: str) -> None:
        with self._changed:
            self._used[model] = max(self._used.get(model, 0.0), self._clock)
            self._waiting[model] += 1
            while self._running >= self._slots or self._next() != model:
                self._changed.wait()
            self._waiting[model] -= 1
            self._running += 1
            self._clock = max(self._clock, self._used[model])

    def _next(self) -> str:
        return min(+self._waiting, key=lambda name: (self._used.get(name, 0.0), name))
