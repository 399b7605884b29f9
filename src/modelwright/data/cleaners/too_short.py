"""Drops texts with too few characters or words to say anything.

The characters of a pair are counted together. Not a default: in chat data a single character may
be an answer.

    data: {clean: [{too-short: {characters: 2}}]}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.data.cleaners import Cleaner

if TYPE_CHECKING:
    from modelwright.data.chunks import Chunk

VERSION = 1


class Config(BaseModel):
    """The least length."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    characters: int = Field(2, ge=1, description="Fewest characters of a text.")
    words: int | None = Field(
        None, ge=1, description="Fewest words, told apart by white space; not for Chinese."
    )


@final
class TooShort(Cleaner):
    """See the module."""

    config: Config

    def see(self, chunk: Chunk) -> None:
        characters, words = self.config.characters, self.config.words
        for position, text in enumerate(chunk.contents):
            if len(text) < characters:
                chunk.drop(position, "too-short", f"{len(text):,} characters")
            elif words is not None and (count := len(text.split())) < words:
                chunk.drop(position, "too-short", f"{count:,} words")
