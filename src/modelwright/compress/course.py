"""Which architecture is taught next, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelwright.compress.shapes import Shape

MOST_EPOCHS, USUAL_EPOCHS, LEAST_EPOCHS = 12.0, 4.0, 2.0
"""Of a lesson. With fewer than the usual ones a network that lost layers is not worth beginning
with; with less than half of the least no network is (docs/lab.md)."""


def epochs_in(seconds: float, epoch_seconds: float, lessons: int) -> float:
    """Epochs of the next lesson, if as many lessons share the time; 0 where none would teach enough.

    One long lesson is worth more than two short ones.
    """
    whole = seconds / max(epoch_seconds, 1e-3)
    share = whole / lessons if whole / lessons >= LEAST_EPOCHS else whole
    return min(MOST_EPOCHS, round(share, 1)) if share >= LEAST_EPOCHS / 2 else 0.0


@dataclass(frozen=True)
class Front:
    """Architectures of one network.

    Attributes:
        shapes: to be taught, from mild to strong.
        first: the place of the one to begin with.
        thin: all layers, thinner and thinner; near enough to the whole network to do without.
    """

    shapes: tuple[Shape, ...]
    first: int
    thin: tuple[Shape, ...] = ()

    @classmethod
    def restored(cls, values: Mapping[str, Any]) -> Front:
        """From what `asdict` and JSON made of it."""
        shapes, thin = (tuple(map(Shape.restored, values[name])) for name in ("shapes", "thin"))
        return cls(shapes, values["first"], thin)


@dataclass
class Course:
    """Stronger architectures while proofs are likely, milder ones else, halving what is left.

    When the first one fails, a thin network of all layers comes before milder ones, unless little was
    missing: then one that is a little milder does. Where time is short, the thin one comes first.

    Attributes:
        front: the architectures.
        near: the thin one, if any is worth a lesson.
        short: whether there is too little time for the usual lesson.
        shape: the next to be taught; None when there is none.
    """

    front: Front
    near: Shape | None = None
    short: bool = False
    shape: Shape | None = field(init=False)

    def __post_init__(self) -> None:
        self._place, self._low, self._high = self.front.first, -1, len(self.front.shapes)
        self.shape = self.front.shapes[self._place]
        if self.short and self.near is not None:
            self.shape, self.near = self.near, None

    def taught(self, likely: bool, close: bool = False) -> None:
        """Go on after a lesson.

        Args:
            likely: whether what was taught is likely to be proven.
            close: whether little was missing, where it is not.
        """
        if self.shape is self.front.shapes[self._place]:
            self._low, self._high = (
                (self._place, self._high) if likely else (self._low, self._place)
            )
        if self.near is not None and not likely and not close:
            self.shape, self.near = self.near, None
        elif self._high - self._low > 1:
            milder = (self._low + 2 * self._high) // 3
            self._place = max(milder, self._low + 1) if close else (self._low + self._high) // 2
            self.shape = self.front.shapes[self._place]
        else:
            self.shape = None
        if likely:
            self.near = None
