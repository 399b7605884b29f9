"""Models that share a machine take turns: who had the least time goes first."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

HOG_S = 1.0
"""A call that runs longer than this, or hangs, holds up nobody else any more."""


@final
class Turns:
    """Lets as many calls run at once as the model with the most streams wants for itself.

    With one model nobody ever waits here.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._slots = 0
        self._running: list[float] = []  # when each call began
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
        began = self._begin(model)
        try:
            yield
        finally:
            with self._changed:
                self._running.remove(began)
                if model in self._used:
                    self._used[model] += time.monotonic() - began
                self._changed.notify_all()

    def _begin(self, model: str) -> float:
        with self._changed:
            self._used[model] = max(self._used.get(model, 0.0), self._clock)
            self._waiting[model] += 1
            while self._busy() or self._next() != model:
                self._changed.wait(HOG_S if self._running else None)
            self._waiting.subtract([model])
            self._waiting += Counter()  # forgets who waits no more
            began = time.monotonic()
            self._running.append(began)
            self._clock = max(self._clock, self._used[model])
            return began

    def _busy(self) -> bool:
        since = time.monotonic() - HOG_S
        return sum(began > since for began in self._running) >= self._slots

    def _next(self) -> str:
        return min(self._waiting, key=lambda name: (self._used.get(name, 0.0), name))
