"""How large pictures are, in pixels."""

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
class PictureSize(Signal):
    """See the module."""

    needs: ClassVar[Needs] = "input"
    modality: ClassVar[str] = "image"
    title: ClassVar[tuple[str, str]] = ("Picture size, pixels", "图片大小(像素)")
    edges: ClassVar[tuple[float, ...]] = tuple(2.0 ** (step / 4) for step in range(16, 112))

    def values(self, sample: Sample) -> np.ndarray:
        """[N] width times height."""
        import numpy as np

        return np.array([picture[1] for picture in pictures(sample)])
