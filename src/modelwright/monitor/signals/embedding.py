"""How far an input's vector is from what training rows were like: from the nearest of their centres."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.monitor.sample import Sample
from modelwright.monitor.signals import Needs, Signal

if TYPE_CHECKING:
    import numpy as np

VERSION = 1


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Embedding(Signal):
    """See the module."""

    needs: ClassVar[Needs] = "vectors"
    title: ClassVar[tuple[str, str]] = (
        "Distance from training, by vectors",
        "与训练数据的向量距离",
    )
    edges: ClassVar[tuple[float, ...]] = tuple(1e-4 * 2 ** (step / 20) for step in range(287))

    def values(self, sample: Sample) -> np.ndarray:
        """[N] 1 - cosine."""
        return sample.nearest[1]
