"""One file per signal: a number or categories of each row, whose distribution may move.

A signal says what it needs, gives each row's value, and leaves the comparison to `sketches`. With
its Config it is frozen; a change of what it counts bumps VERSION, and references of the older
version are then not compared.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel

from modelwright.monitor.sample import Sample
from modelwright.monitor.sketches import Categories, Moved, Ordered, restored

if TYPE_CHECKING:
    import numpy as np

Needs = Literal["input", "answer", "vectors"]


class Signal(ABC):
    """What is looked at.

    Attributes:
        needs: `input`: what callers sent, which only some recipes record; `vectors`: that, and a
            bundle that gives vectors; `answer`: predictions alone.
        modality: `text`, `image`, or "" for both.
        title: in English and in Chinese.
        edges: of the counts of a number; () for categories.
    """

    needs: ClassVar[Needs]
    modality: ClassVar[str] = ""
    title: ClassVar[tuple[str, str]]
    edges: ClassVar[tuple[float, ...]] = ()

    def __init__(self, config: BaseModel) -> None:
        self.config: Any = config

    @abstractmethod
    def values(self, sample: Sample) -> np.ndarray | list[list[str]]:
        """[N] numbers, NaN where a row has none, or each row's categories."""

    def sketch(self, values: np.ndarray | list[list[str]]) -> Ordered | Categories:
        """Count values."""
        import numpy as np

        if isinstance(values, np.ndarray):
            return Ordered(self.edges).add(values)
        return Categories().add(one for row in values for one in row)

    def restored(self, told: dict[str, Any]) -> Ordered | Categories:
        """A sketch that was written down."""
        return restored("ordered" if self.edges else "categories", self.edges, told)

    def inside(self, values: np.ndarray | list[list[str]], moved: Moved) -> list[int]:
        """Rows of the window where it differs most, the furthest first."""
        import numpy as np

        if isinstance(values, np.ndarray):
            edge = float(moved.place or 0.0)
            order = np.argsort(-values if moved.above else values, kind="stable")
            return [
                int(row)
                for row in order
                if (values[row] >= edge if moved.above else values[row] < edge)
            ]
        return [row for row, names in enumerate(values) if moved.place in names]


def shares(counts: Sequence[int], totals: Sequence[int]) -> np.ndarray:
    """[N] counts over totals; NaN over nothing."""
    import numpy as np

    total = np.asarray(totals, dtype=float)
    return np.where(total > 0, np.asarray(counts) / np.maximum(total, 1), np.nan)


INTERFACE = Signal
