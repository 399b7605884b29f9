"""Drops a row whose input and target both occurred before.

The first of the equal rows stays. Texts are compared as they are after the cleaners before this
one (put `normalize` first), images by their bytes. Equal inputs with different targets are not
duplicates but a conflict: see `label-conflicts`.

    data: {clean: [normalize, exact-duplicates]}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.data.cleaners import Cleaner, Surroundings

if TYPE_CHECKING:
    from modelwright.data.chunks import Chunk

VERSION = 1
_EXAMPLES = 5


class Config(BaseModel):
    """There is nothing to set."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class ExactDuplicates(Cleaner):
    """See the module."""

    modalities: ClassVar[tuple[str, ...]] = ("text", "image")
    held_out: ClassVar[bool] = False
    counts: ClassVar[bool] = False

    def __init__(self, config: BaseModel, around: Surroundings) -> None:
        super().__init__(config, around)
        self._first: dict[int, int] = {}
        self._count = 0
        self._examples: list[dict[str, str]] = []

    def see(self, chunk: Chunk) -> None:
        first = self._first
        keys = chunk.row_keys.tolist()
        for position, (key, index) in enumerate(zip(keys, chunk.indices, strict=True)):
            earlier = first.setdefault(key, index)
            if earlier != index:
                self._drop(chunk, position, earlier)

    def _drop(self, chunk: Chunk, position: int, earlier: int) -> None:
        place = self.around.place(earlier)
        where = f"{place.file}:{place.line}" if place.line else f"{place.file} row {place.row}"
        chunk.drop(position, "exact-duplicate", f"same as {where}")
        self._count += 1
        if len(self._examples) < _EXAMPLES:
            content = chunk.contents[position]
            shown = content[:80] if isinstance(content, str) else f"{len(content)} bytes"
            self._examples.append({"text": shown, "same_as": where})

    def notes(self) -> dict[str, Any]:
        return {"rows": self._count, "examples": self._examples}
