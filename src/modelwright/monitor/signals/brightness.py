"""How bright pictures are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.monitor.pictures import pictures
from modelwright.monitor.sample import Sample
from modelwright.monitor.signals import Needs, Signal

if TYPE_CHECKING:
    import numpy as np

VERSION = 1


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Brightness(Signal):
    """See the module."""

    needs: ClassVar[Needs] = "input"
    modality: ClassVar[str] = "image"
    title: ClassVar[tuple[str, str]] = ("Brightness", "亮度")
    edges: ClassVar[tuple[float, ...]] = tuple(step / 100 for step in range(1, 100))

    def values(self, sample: Sample) -> np.ndarray:
        """[N] mean of all pixels between 0 and 1."""
        import numpy as np

        return np.array([picture[0] for picture in pictures(sample)])
