"""One file per way of cleaning rows: repairs of text, duplicates, conflicts, lengths, images.

Rows pass in chunks of a few thousand, once, in the order of their source. A cleaner decides at
once (`see`), or, when it must know all rows first, after the last chunk (`finish`). Cleaners act in
the order of the recipe: what one drops, the next doesn't see.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel

if TYPE_CHECKING:
    from modelwright.artifacts.ledger import Place
    from modelwright.data.chunks import Chunk, RowKind
    from modelwright.data.neighbours import Neighbours
    from modelwright.data.rowstore import RowStore


@dataclass(frozen=True)
class Surroundings:
    """What a cleaner may know besides its options and the rows.

    Attributes:
        kind: which fields of a row are input and which are target.
        place: where the row with a given index came from.
    """

    kind: RowKind
    place: Callable[[int], Place]


@dataclass(frozen=True, slots=True)
class Drop:
    """A row to set aside, decided after all rows were seen; `index` as in `Chunk.indices`."""

    index: int
    reason: str
    detail: str = ""


class Cleaner(ABC):
    """The interface of a cleaner plug.

    Args:
        config: the plug's `Config`.
        around: what else it may know.
    """

    changes: ClassVar[bool] = False
    """Whether it repairs rows (and not only drops them)."""

    modalities: ClassVar[tuple[str, ...]] = ("text",)
    """What it can clean: text, image."""

    held_out: ClassVar[bool] = True
    """Whether it is shown validation and test files. One that judges rows by other rows is not:
    what a team measures itself by stays as it is."""

    counts: ClassVar[bool] = True
    """Whether what it drops counts towards `data.limits.dropped`. Duplicates don't: they are no
    sign of broken data."""

    neighbours: Neighbours | None = None
    """Sketches that the cleaner made of the rows it saw; the cross-split check uses them again."""

    def __init__(self, config: BaseModel, around: Surroundings) -> None:
        self.config, self.around = config, around

    @property
    def decides_late(self) -> bool:
        """Whether `finish` may drop rows; the cleaners after it then wait for it."""
        return False

    @abstractmethod
    def see(self, chunk: Chunk) -> None:
        """Look at the next rows; drop or repair them through the chunk."""

    def finish(self, rows: RowStore) -> Iterator[Drop]:
        """Decide on rows after the last chunk."""
        yield from ()

    def for_inputs(self) -> dict[str, bool] | None:
        """Normalisation that a model's inputs need, too, to be read as its rows were; see
        `encoders.normal.Normal`. None where the texts stay as they are."""
        return None

    def notes(self) -> dict[str, Any]:
        """Counts and examples for the audit, small enough for JSON."""
        return {}


INTERFACE = Cleaner
