"""Makes equal-looking texts equal: Unicode NFC, widths, invisible characters, entities, spaces.

In this order, until nothing changes any more:

- HTML entities that end in `;` become their characters (`&amp;lt;` becomes `<`);
- full-width letters, digits and symbols become ASCII; Chinese punctuation stays unless
  `punctuation` is true; the ideographic space becomes a space;
- control characters and zero-width characters are removed; joiners inside emoji and inside
  scripts that need them (Arabic, Indic) stay;
- characters are composed (NFC);
- runs of white space, line breaks included, become one space, and the ends are stripped.

Rows with marked words (token-classification) are normalised word by word, and their offsets are
moved along, so that every tag still fits; it is not a default there. Whole texts get the same from
the model's encoder, so that a service reads what users send as training read its rows.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.data.cleaners import Cleaner, Surroundings

if TYPE_CHECKING:
    from modelwright.data.chunks import Chunk

VERSION = 1


class Config(BaseModel):
    """What to make equal."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    width: bool = Field(True, description="Full-width letters, digits and symbols become ASCII.")
    punctuation: bool = Field(False, description="Chinese full-width punctuation, too.")
    entities: bool = Field(True, description="HTML entities become their characters.")
    lines: bool = Field(True, description="Line breaks become spaces; false keeps them.")


@final
class Normalize(Cleaner):
    """See the module."""

    changes: ClassVar[bool] = True

    def __init__(self, config: Config, around: Surroundings) -> None:
        from modelwright.encoders.normal import Normal

        super().__init__(config, around)
        self._normal = Normal(
            width=config.width,
            punctuation=config.punctuation,
            entities=config.entities,
            lines=config.lines,
        )

    def for_inputs(self) -> dict[str, bool] | None:
        return None if self._has_words else asdict(self._normal)

    @property
    def _has_words(self) -> bool:
        return "starts" in self.around.kind.fields

    def see(self, chunk: Chunk) -> None:
        if self._has_words:
            self._see_words(chunk)
        else:
            self._see_texts(chunk)

    def _see_texts(self, chunk: Chunk) -> None:
        text, fields = self._normal.text, self.around.kind.inputs
        for position, row in enumerate(chunk.rows):
            changed = row
            for field in fields:
                after = text(row[field])
                if after is not row[field]:
                    changed = {**changed, field: after}
            if changed is not row:
                chunk.repair(position, changed, "normalized")
                if not all(changed[field] for field in fields):
                    chunk.drop(position, "empty-text", "nothing visible in it")

    def _see_words(self, chunk: Chunk) -> None:
        from modelwright.encoders.normal import words

        for position, row in enumerate(chunk.rows):
            text, starts, ends = words(self._normal, row["text"], row["starts"], row["ends"])
            if text != row["text"]:
                changed = {**row, "text": text, "starts": starts, "ends": ends}
                chunk.repair(position, changed, "normalized")
