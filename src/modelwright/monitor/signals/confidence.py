"""How sure the model was: the score of an answer, the lowest one of its entities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.monitor.answers import score_of
from modelwright.monitor.sample import Sample
from modelwright.monitor.signals import Needs, Signal

if TYPE_CHECKING:
    import numpy as np

VERSION = 1


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Confidence(Signal):
    """See the module."""

    needs: ClassVar[Needs] = "answer"
    title: ClassVar[tuple[str, str]] = ("Confidence", "置信度")
    edges: ClassVar[tuple[float, ...]] = tuple(
        1 / (1 + math.exp(-step / 10)) for step in range(-80, 141)
    )

    def values(self, sample: Sample) -> np.ndarray:
        """[N] scores between 0 and 1."""
        import numpy as np

        return np.array([score_of(answer) for answer in sample.answers])
