"""Drops texts that are longer than any real input.

Such rows are mostly joined by a broken quote or hold a whole file. Not a default: training cuts
long texts anyway. The characters of a pair are counted together.

    data: {clean: [{too-long: {characters: 20000}}]}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.data.cleaners import Cleaner

if TYPE_CHECKING:
    from modelwright.data.chunks import Chunk

VERSION = 1


class Config(BaseModel):
    """The greatest length."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    characters: int = Field(20000, ge=1, description="Most characters of a text.")
    words: int | None = Field(
        None, ge=1, description="Most words, told apart by white space; not for Chinese."
    )


@final
class TooLong(Cleaner):
    """See the module."""

    config: Config

    def see(self, chunk: Chunk) -> None:
        characters, words = self.config.characters, self.config.words
        for position, text in enumerate(chunk.contents):
            if len(text) > characters:
                chunk.drop(position, "too-long", f"{len(text):,} characters")
            elif words is not None and (count := len(text.split())) > words:
                chunk.drop(position, "too-long", f"{count:,} words")
