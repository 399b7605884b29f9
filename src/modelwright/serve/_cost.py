"""What a model call takes, learned from the calls that were made, shape by shape.

A call of n rows of one width takes `fixed + each * n` seconds. Both are fitted to the calls of that
width by least squares, in which older calls count less and less. A width that was never run is
judged by its tokens.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import final

FORGET = 0.98
"""What a call counts for when another one of its width has been made."""
HICCUP = 4.0
"""A call counts for at most this many times what was expected: others use the machine too."""


@dataclass(slots=True)
class _Line:
    """Decayed sums of a least-squares line through (rows, seconds)."""

    weight: float = 0.0
    rows: float = 0.0
    squares: float = 0.0
    seconds: float = 0.0
    products: float = 0.0

    def add(self, rows: int, seconds: float) -> None:
        self.weight = FORGET * self.weight + 1
        self.rows = FORGET * self.rows + rows
        self.squares = FORGET * self.squares + rows * rows
        self.seconds = FORGET * self.seconds + seconds
        self.products = FORGET * self.products + rows * seconds

    def fit(self) -> tuple[float, float]:
        """(fixed, each), neither negative; without calls of unlike size nothing is fixed."""
        mean = self.seconds / self.rows
        spread = self.weight * self.squares - self.rows * self.rows
        if spread < 1e-6 * self.rows * self.rows:
            return 0.0, mean
        slope = (self.weight * self.products - self.rows * self.seconds) / spread
        each = min(max(slope, 0.0), mean)
        return max(0.0, self.seconds - each * self.rows) / self.weight, each


@final
class CostModel:
    """Seconds of a call by width and rows. Safe to be used from several threads."""

    def __init__(self) -> None:
        self._lines: dict[int, _Line] = {}
        self._fits: dict[int, tuple[float, float]] = {}
        self._token = 0.0
        self._met: set[tuple[int, int]] = set()
        self._lock = threading.Lock()

    def learn(self, width: int, rows: int, seconds: float) -> None:
        """Take a call into account, but for the first of a shape: kernels are made for it."""
        with self._lock:
            if (width, rows) not in self._met:
                self._met.add((width, rows))
                if self._token:
                    return
            if expected := self.seconds(width, rows):
                seconds = min(seconds, HICCUP * expected)
            line = self._lines.setdefault(width, _Line())
            line.add(rows, seconds)
            self._fits[width] = line.fit()
            token = seconds / (width * rows)
            self._token = 0.95 * self._token + 0.05 * token if self._token else token

    def fit(self, width: int) -> tuple[float, float]:
        """(fixed, each) of a width in seconds; zeros while nothing was learned."""
        return self._fits.get(width) or (0.0, self._token * width)

    def seconds(self, width: int, rows: int = 1) -> float:
        """What a call is expected to take; 0 while nothing was learned."""
        fixed, each = self.fit(width)
        return fixed + each * rows
