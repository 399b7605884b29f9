"""Which language inputs are in, by script and frequent words."""

from __future__ import annotations

from typing import ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.encoders.language import language_of
from modelwright.monitor.sample import Sample
from modelwright.monitor.signals import Needs, Signal

VERSION = 1


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Language(Signal):
    """See the module."""

    needs: ClassVar[Needs] = "input"
    modality: ClassVar[str] = "text"
    title: ClassVar[tuple[str, str]] = ("Language", "语言")

    def values(self, sample: Sample) -> list[list[str]]:
        """Each row's language: a code, or its script where no word tells."""
        return [[] if text is None else [language_of(text)] for text in sample.texts]
