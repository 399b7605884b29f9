"""One file per backbone family: where its embeddings, layers and types are, and its scratch sizes.

The file name is the family's `model_type`. A hub model of a family without a file still trains
(transformers loads it); it only goes without what needs to know its inside.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import torch


class Family(ABC):
    """The interface of a family plug; all methods are about an instance's `backbone`."""

    modality: ClassVar[Literal["text", "image"]]
    sizes: ClassVar[dict[str, dict[str, Any]]] = {}
    """Scratch sizes: configuration values by size name."""

    @classmethod
    @abstractmethod
    def config(cls, size: str, **values: Any) -> Any:
        """A transformers configuration for training from scratch.

        Args:
            size: a key of `sizes`.
            values: what the data decides (vocab_size, num_channels, image size, dropout).
        """

    @classmethod
    @abstractmethod
    def build(cls, config: Any) -> torch.nn.Module:
        """The bare backbone without the heads of its pretraining."""

    @classmethod
    def type_embeddings(cls, backbone: torch.nn.Module) -> torch.nn.Embedding | None:
        """The token type table, if the family has one."""
        return None

    @classmethod
    def grow_types(cls, backbone: torch.nn.Module, types: int) -> None:
        """Give the backbone `types` token types; new ones start as copies of type 0."""
        raise ValueError("this family has no token types")

    @classmethod
    def set_dropout(cls, config: Any, rate: float) -> None:
        """Set every dropout rate of a configuration."""
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout"):
            if hasattr(config, name):
                setattr(config, name, rate)


INTERFACE = Family
