"""One file per inference runtime: open a packaged variant and run a batch.

`Bundle` is an opened bundle: the task, the encoder and one variant behind `predict`. Nothing here
needs torch unless the torch engine is asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright.encoders.limits import BatchLimits

if TYPE_CHECKING:
    import numpy as np

    from modelwright.engines._bundle import Bundle


VECTORS = "vectors"
"""The output of a variant's graph that holds what its head reads, [B, D]."""


class Engine(ABC):
    """The interface of an engine plug: a loaded model that runs batches.

    Args:
        folder: the variant's folder, self-contained: the model and, where it was measured,
            `runtime.json` (see `engines/_runtime.py`).
        threads: threads in all; 0 for what `runtime.json` says, or all cores.
    """

    suffix: ClassVar[str]
    """Name of the model file in a variant's folder."""
    limits: BatchLimits = BatchLimits()
    """Which batches it likes; `workers` of them run side by side in `run_many`."""
    dimensions: int = 0
    """Width of what `vectors` gives; 0 for a variant without."""

    @abstractmethod
    def __init__(self, folder: Path, threads: int = 0) -> None: ...

    @abstractmethod
    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Logits [B, C] or [B, T, C] (float32) of one padded batch."""

    def run_many(self, batches: Iterable[Mapping[str, np.ndarray]]) -> list[np.ndarray]:
        """Logits of many batches in order; each is taken when it is about to be run."""
        return [self.run(inputs) for inputs in batches]

    def spread(self, streams: int) -> Engine | None:
        """The same model for so many batches side by side, a thread each; None where it can't be
        asked for, or `runtime.json` tells already what was found best."""
        return None

    @abstractmethod
    def vectors(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """What the head reads of one padded batch, [B, D] (float32); where `dimensions` is not 0."""

    @abstractmethod
    def close(self) -> None:
        """Give memory and threads back."""


INTERFACE = Engine


def __getattr__(name: str) -> Any:
    if name == "Bundle":
        from modelwright.engines._bundle import Bundle

        return Bundle
    raise AttributeError(name)


__all__ = ["INTERFACE", "VECTORS", "Bundle", "Engine"]
