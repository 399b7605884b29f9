"""One file per packaged form: how a trained network is written for an engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelwright.models.checkpoint import TrainedModel


@dataclass(frozen=True)
class Draft:
    """A variant that was written and is not yet proven.

    Attributes:
        name: folder name under `variants/`.
        engine: the engine that runs it.
        precision: fp32, int8, ...
        exact: whether it must agree with the trained form to rounding (else: within `max_drop`).
        batch_invariant: whether a row's answer is the same whatever else is in its batch.
    """

    name: str
    engine: str
    precision: str
    exact: bool
    batch_invariant: bool = True


class Format(ABC):
    """The interface of a format plug.

    Args:
        config: the plug's `Config`.
    """

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def write(self, model: TrainedModel, variants: Path) -> list[Draft]:
        """Write one or more variants, each into `variants/NAME`."""


INTERFACE = Format
