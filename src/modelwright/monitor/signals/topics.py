"""Which of the centres of training rows an input's vector is nearest to."""

from __future__ import annotations

from typing import ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.monitor.sample import Sample
from modelwright.monitor.signals import Needs, Signal

VERSION = 1


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Topics(Signal):
    """See the module."""

    needs: ClassVar[Needs] = "vectors"
    title: ClassVar[tuple[str, str]] = ("Topics, by vectors", "主题(按向量聚类)")

    def values(self, sample: Sample) -> list[list[str]]:
        """Each row's centre."""
        return [[] if centre < 0 else [f"topic {centre}"] for centre in sample.nearest[0]]
