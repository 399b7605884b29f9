"""One file per backbone family: where its embeddings, layers and types are, and its scratch sizes.

The file name is the family's `model_type`. A hub model of a family without a file still trains
(transformers loads it); it only goes without what needs to know its inside.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import torch


SPECIAL_IDS = (
    "pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id", "unk_token_id",
    "mask_token_id", "decoder_start_token_id",
)  # fmt: skip
"""What configurations may call the ids of their special tokens."""


@dataclass(frozen=True)
class Block:
    """One encoder layer's parts that can be cut; all are modules of the backbone.

    Attributes:
        query: [D -> heads * head_size], as are `key` and `value`.
        output: [heads * head_size -> D].
        up: [D -> neurons].
        down: [neurons -> D].
        heads: in this layer.
        head_size: width of a head.
    """

    query: torch.nn.Linear
    key: torch.nn.Linear
    value: torch.nn.Linear
    output: torch.nn.Linear
    up: torch.nn.Linear
    down: torch.nn.Linear
    head_size: int

    @property
    def heads(self) -> int:
        return self.output.in_features // self.head_size

    @property
    def neurons(self) -> int:
        return self.down.in_features


class Family(ABC):
    """The interface of a family plug; all methods are about an instance's `backbone`."""

    modality: ClassVar[Literal["text", "image"]]
    sizes: ClassVar[dict[str, dict[str, Any]]] = {}
    """Scratch sizes: configuration values by size name."""
    patches: ClassVar[bool] = False
    """Whether images must have the `image_size` of the configuration."""
    neurons_key: ClassVar[str] = "intermediate_size"
    """What the configuration calls the width of feed-forward networks."""

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

    # -- cutting ----------------------------------------------------------------------------------
    cuts: ClassVar[frozenset[str]] = frozenset()
    """What compression may cut: vocabulary, layers, heads, ffn."""

    @classmethod
    def layers(cls, backbone: torch.nn.Module) -> torch.nn.ModuleList:
        """The encoder's layers, in order; none where the family has no such thing."""
        import torch

        return torch.nn.ModuleList()

    @classmethod
    def block(cls, layer: torch.nn.Module) -> Block:
        """Where a layer's parts are."""
        raise ValueError("this family has no blocks")

    @classmethod
    def blocks(cls, backbone: torch.nn.Module) -> list[Block]:
        """The parts of every layer."""
        return [cls.block(layer) for layer in cls.layers(backbone)]

    @classmethod
    def keep_layers(cls, backbone: torch.nn.Module, kept: Sequence[int]) -> None:
        """Leave only these layers, in place; the configuration follows."""
        layers = cls.layers(backbone)
        chosen = [layers[index] for index in kept]
        del layers[:]
        layers.extend(chosen)
        backbone.config.num_hidden_layers = len(chosen)  # type: ignore[union-attr]
        cls.note_sizes(backbone)

    @classmethod
    def keep_heads(cls, backbone: torch.nn.Module, layer: int, kept: Sequence[int]) -> None:
        """Leave only these heads of a layer, in place."""
        block = cls.blocks(backbone)[layer]
        columns = [head * block.head_size + i for head in kept for i in range(block.head_size)]
        for part in (block.query, block.key, block.value):
            _keep_outputs(part, columns)
        _keep_inputs(block.output, columns)
        cls.note_sizes(backbone)

    @classmethod
    def keep_neurons(cls, backbone: torch.nn.Module, layer: int, kept: Sequence[int]) -> None:
        """Leave only these neurons of a layer's feed-forward network, in place."""
        block = cls.blocks(backbone)[layer]
        _keep_outputs(block.up, list(kept))
        _keep_inputs(block.down, list(kept))
        cls.note_sizes(backbone)

    @classmethod
    def word_embeddings(cls, backbone: torch.nn.Module) -> torch.nn.Embedding | None:
        """The table of word pieces; None where the family reads no text."""
        return backbone.get_input_embeddings() if cls.modality == "text" else None  # type: ignore[operator]

    @classmethod
    def keep_ids(cls, backbone: torch.nn.Module, ids: Sequence[int]) -> None:
        """Leave only these rows of the word embeddings, in this order, in place.

        The ids that the configuration names (padding and the like) follow.
        """
        table: Any = cls.word_embeddings(backbone)
        _keep_rows(table, ids)
        new = {old: number for number, old in enumerate(ids)}
        if table.padding_idx is not None:
            table.padding_idx = new.get(table.padding_idx)
        config: Any = backbone.config
        config.vocab_size = len(ids)
        for name in SPECIAL_IDS:
            old = getattr(config, name, None)
            if isinstance(old, int):
                setattr(config, name, new.get(old))

    @classmethod
    def position_embeddings(cls, backbone: torch.nn.Module) -> torch.nn.Embedding | None:
        """The table of learnt positions, if it can be cut."""
        return None

    @classmethod
    def first_position(cls, backbone: torch.nn.Module) -> int:
        """Row of the first token's position; RoBERTa and its kin count from behind the padding's."""
        table = cls.position_embeddings(backbone)
        padding = None if table is None else table.padding_idx
        return 0 if padding is None else padding + 1

    @classmethod
    def keep_positions(cls, backbone: torch.nn.Module, tokens: int) -> None:
        """Leave positions for inputs of at most `tokens`, in place; none is ever added."""
        table = cls.position_embeddings(backbone)
        rows = tokens + cls.first_position(backbone)
        if table is None or rows >= table.num_embeddings:
            return
        _keep_rows(table, range(rows))
        embeddings: Any = backbone.embeddings
        for name in ("position_ids", "token_type_ids"):
            if hasattr(embeddings, name):
                setattr(embeddings, name, getattr(embeddings, name)[:, :rows].clone())
        backbone.config.max_position_embeddings = rows  # type: ignore[union-attr]

    @classmethod
    def note_sizes(cls, backbone: torch.nn.Module) -> None:
        """Write the layers' sizes into the configuration where they differ from what it says."""
        config: Any = backbone.config
        blocks = cls.blocks(backbone)
        sizes = [{"heads": block.heads, "neurons": block.neurons} for block in blocks]
        whole = {"heads": config.num_attention_heads, "neurons": getattr(config, cls.neurons_key)}
        if any(size != whole for size in sizes):
            config.block_sizes = sizes
        elif hasattr(config, "block_sizes"):
            del config.block_sizes

    @classmethod
    def fit_sizes(cls, backbone: torch.nn.Module) -> torch.nn.Module:
        """Give a freshly built backbone the uneven layers that its configuration tells of."""
        sizes = getattr(backbone.config, "block_sizes", None)
        for layer, size in enumerate(sizes or ()):
            cls.keep_heads(backbone, layer, range(size["heads"]))
            cls.keep_neurons(backbone, layer, range(size["neurons"]))
        return backbone

    @classmethod
    def set_dropout(cls, config: Any, rate: float) -> None:
        """Set every dropout rate of a configuration."""
        for name, value in config.to_dict().items():
            if "dropout" in name and isinstance(value, (int, float)):
                setattr(config, name, rate)


def _keep_rows(table: torch.nn.Embedding, rows: Sequence[int]) -> None:
    import torch

    with torch.no_grad():
        table.weight = torch.nn.Parameter(table.weight[list(rows)].clone())
    table.num_embeddings = len(rows)


def _keep_outputs(linear: torch.nn.Linear, rows: list[int]) -> None:
    import torch

    with torch.no_grad():
        linear.weight = torch.nn.Parameter(linear.weight[rows].clone())
        if linear.bias is not None:
            linear.bias = torch.nn.Parameter(linear.bias[rows].clone())
    linear.out_features = len(rows)


def _keep_inputs(linear: torch.nn.Linear, columns: list[int]) -> None:
    import torch

    with torch.no_grad():
        linear.weight = torch.nn.Parameter(linear.weight[:, columns].clone())
    linear.in_features = len(columns)


INTERFACE = Family
