"""What was answered: labels, or the labels of entities."""

from __future__ import annotations

from typing import ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.monitor.answers import labels_of
from modelwright.monitor.sample import Sample
from modelwright.monitor.signals import Needs, Signal

VERSION = 1


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Labels(Signal):
    """See the module."""

    needs: ClassVar[Needs] = "answer"
    title: ClassVar[tuple[str, str]] = ("Predicted labels", "预测标签")

    def values(self, sample: Sample) -> list[list[str]]:
        """Each row's labels."""
        return [labels_of(answer) for answer in sample.answers]
