"""One file per way of fine-tuning: which weights move, and what is left when training ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from modelwright.models.network import Network


class Method(ABC):
    """The interface of a method plug.

    Args:
        config: the plug's `Config`.
    """

    learning_rate: ClassVar[float]
    """Default peak rate for a backbone of width 384 (see train/settings.py for other widths)."""
    epochs_factor: ClassVar[float] = 1.0
    """By how much the default number of epochs is multiplied."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def prepare(self, network: Network) -> None:
        """Choose what is trained, in place; the head always is."""

    def finish(self, network: Network) -> None:
        """Turn the network back into a plain one, in place; its answers stay the same."""
        for weight in network.parameters():
            weight.requires_grad_(True)


INTERFACE = Method
