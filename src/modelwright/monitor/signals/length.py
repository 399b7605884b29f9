"""How long inputs are, in characters."""

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
class Length(Signal):
    """See the module."""

    needs: ClassVar[Needs] = "input"
    modality: ClassVar[str] = "text"
    title: ClassVar[tuple[str, str]] = ("Length, characters", "长度(字符)")
    edges: ClassVar[tuple[float, ...]] = tuple(
        sorted({round(2 ** (step / 4)) for step in range(72)})
    )

    def values(self, sample: Sample) -> np.ndarray:
        """[N] characters."""
        import numpy as np

        return np.array([np.nan if text is None else len(text) for text in sample.texts])
