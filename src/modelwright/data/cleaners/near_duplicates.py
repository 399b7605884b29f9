"""Drops a row whose text nearly equals that of an earlier row with the same target.

Texts are compared by their shingles (runs of 5 characters, 3 in Chinese, in lower case): at
`threshold` 0.85 two texts of 100 characters may differ in one or two words. Candidates come from
MinHash sketches, which find 99.8% of the pairs at the threshold and more above it; every candidate
is then compared exactly, so no pair below the threshold is ever dropped. Nearly equal texts with
different targets are kept and reported: they are what a model must learn to tell apart, or a
mistake. The ledger names the earlier row and the similarity.

Memory grows by about 200 bytes a row. Where very many texts share a template, each is compared with
a bounded number of others, so that time stays linear; a near-duplicate can then be missed, and
`full_buckets` in the audit says how often not everything was compared.

    data: {clean: [normalize, exact-duplicates, {near-duplicates: {threshold: 0.9}}]}
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.data.cleaners import Cleaner, Drop, Surroundings

if TYPE_CHECKING:
    from modelwright.data.chunks import Chunk
    from modelwright.data.neighbours import Found, Match
    from modelwright.data.rowstore import RowStore

VERSION = 1
_EXAMPLES = 5
_SHOWN_CHARACTERS = 120


class Config(BaseModel):
    """How like is too like."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    threshold: float = Field(
        0.85, ge=0.5, le=1.0, description="Least Jaccard similarity of shingles, 0.5 to 1."
    )


@final
class NearDuplicates(Cleaner):
    """See the module."""

    held_out: ClassVar[bool] = False
    counts: ClassVar[bool] = False

    def __init__(self, config: Config, around: Surroundings) -> None:
        from modelwright.data.neighbours import Neighbours

        super().__init__(config, around)
        self._made = self.neighbours = Neighbours(config.threshold)
        self._notes: dict[str, Any] = {"rows": 0, "examples": []}

    @property
    def decides_late(self) -> bool:
        return True

    def see(self, chunk: Chunk) -> None:
        self._made.add(chunk.indices, chunk.contents)

    def finish(self, rows: RowStore) -> Iterator[Drop]:
        found = self._made.search(rows.contents, rows.target_keys, among=rows.alive)
        self._notes = self._describe(found, rows)
        for match in found.matches:
            detail = f"{match.similarity:.2f} like {rows.where(match.twin)}"
            yield Drop(match.row, "near-duplicate", detail)

    def _describe(self, found: Found, rows: RowStore) -> dict[str, Any]:
        return {
            "rows": len(found.matches),
            "examples": [_example(match, rows) for match in found.matches[:_EXAMPLES]],
            "conflicts": {
                "pairs": len(found.conflicts),
                "examples": [_example(match, rows) for match in found.conflicts[:_EXAMPLES]],
            },
            "full_buckets": found.full_buckets,
        }

    def notes(self) -> dict[str, Any]:
        return self._notes


def _example(match: Match, rows: RowStore) -> dict[str, Any]:
    import numpy as np

    pair = np.array([match.row, match.twin])
    text, like = (content[:_SHOWN_CHARACTERS] for content in rows.contents(pair))
    return {
        "text": text,
        "like": like,
        "similarity": round(match.similarity, 3),
        "rows": [rows.where(match.row), rows.where(match.twin)],
    }
