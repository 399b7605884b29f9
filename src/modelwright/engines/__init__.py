"""One file per inference runtime: open a packaged variant and run a batch.

`Bundle` is an opened bundle: the task, the encoder and one variant behind `predict`. Nothing here
needs torch unless the torch engine is asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np

    from modelwright.engines._bundle import Bundle


class Engine(ABC):
    """The interface of an engine plug: a loaded model that runs batches.

    Args:
        folder: the variant's folder.
        threads: threads for one batch; 0 for all cores.
    """

    suffix: ClassVar[str]
    """Name of the model file in a variant's folder."""

    @abstractmethod
    def __init__(self, folder: Path, threads: int = 0) -> None: ...

    @abstractmethod
    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Logits [B, C] or [B, T, C] (float32) of one padded batch."""

    @abstractmethod
    def close(self) -> None:
        """Give memory and threads back."""


INTERFACE = Engine


def __getattr__(name: str) -> Any:
    if name == "Bundle":
        from modelwright.engines._bundle import Bundle

        return Bundle
    raise AttributeError(name)


__all__ = ["INTERFACE", "Bundle", "Engine"]
