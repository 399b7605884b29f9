"""What a regression answered."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.monitor.answers import value_of
from modelwright.monitor.sample import Sample
from modelwright.monitor.signals import Needs, Signal

if TYPE_CHECKING:
    import numpy as np

VERSION = 1


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class PredictedValue(Signal):
    """See the module."""

    needs: ClassVar[Needs] = "answer"
    title: ClassVar[tuple[str, str]] = ("Predicted value", "预测值")
    edges: ClassVar[tuple[float, ...]] = tuple(
        math.sinh(step / 20) / 10 for step in range(-240, 241)
    )

    def values(self, sample: Sample) -> np.ndarray:
        """[N] values."""
        import numpy as np

        return np.array([value_of(answer) for answer in sample.answers])
