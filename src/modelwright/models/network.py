"""Backbone and head as one torch module, the same for every task.

input_ids, attention_mask, token_type_ids ─▶ backbone ─▶ [B, T, D] ─┬ sequence: pool ─▶ [B, C]
pixel_values ─▶ backbone ─▶ [B, D, h, w] or [B, T, D]               └ token: ─▶ [B, T, C]
"""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import nn

from modelwright import plugs
from modelwright.models.dropout import PackedDropout, pack_dropout


@dataclass(frozen=True)
class NetworkSettings:
    """What is needed to build a network anew; saved as `network.json`.

    Attributes:
        modality: text or image.
        head: sequence (one answer an input) or token.
        outputs: width of the head.
        pooling: mean of the token vectors, or the first one.
        dropout: before the head.
        inputs: input names in order.
        projection: activation of a dense layer between pooling and head, as some classifiers have
            it; none when empty.
    """

    modality: Literal["text", "image"]
    head: Literal["sequence", "token"]
    outputs: int
    pooling: Literal["mean", "cls"] = "mean"
    dropout: float = 0.1
    inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids")
    projection: Literal["", "tanh", "relu", "gelu"] = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Network(nn.Module):
    """A backbone of transformers with a dropout and a linear head."""

    def __init__(self, backbone: nn.Module, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.backbone = backbone
        self.dropout = PackedDropout(settings.dropout)
        width = hidden_size(backbone.config)
        if settings.projection:
            self.projection = nn.Linear(width, width)
        self.head = nn.Linear(width, settings.outputs)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.frozen = False
        pack_dropout(backbone)

    def freeze_backbone(self) -> None:
        """Keep the backbone in evaluation mode (no dropout, fixed batch statistics)."""
        self.frozen = True

    def unfreeze_backbone(self) -> None:
        """Let the backbone follow the network's mode again."""
        self.frozen = False

    def train(self, mode: bool = True) -> Network:
        """As torch's, but a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Logits: [B, C], or [B, T, C] for a token head."""
        return self._answer(self.backbone(**inputs).last_hidden_state, inputs)

    def states(self, **inputs: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Logits, and the hidden states [B, T, D] before the first and after every layer."""
        found = self.backbone(**inputs, output_hidden_states=True)
        return self._answer(found.last_hidden_state, inputs), found.hidden_states

    def _answer(self, hidden: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        if self.settings.head == "token":
            return self.head(self.dropout(hidden))
        return self.head(self.dropout(self._vector(hidden, inputs)))

    def embed(self, **inputs: torch.Tensor) -> torch.Tensor:
        """One vector an input, [B, D]: what the head of a sequence task reads."""
        return self._vector(self.backbone(**inputs).last_hidden_state, inputs)

    def outcome(self, **inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What packaged forms give: the logits, and `embed` for a sequence task."""
        if self.settings.head == "token":
            return (self(**inputs),)
        vectors = self.embed(**inputs)
        return self.head(self.dropout(vectors)), vectors

    def _vector(self, hidden: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        pooled = self._pool(hidden, inputs.get("attention_mask"))
        if not self.settings.projection:
            return pooled
        return getattr(torch.nn.functional, self.settings.projection)(self.projection(pooled))

    def _pool(self, hidden: torch.Tensor, mask_BT: torch.Tensor | None) -> torch.Tensor:
        if hidden.ndim == 4:
            return hidden.mean(dim=(2, 3))
        if self.settings.pooling == "cls":
            return hidden[:, 0]
        if mask_BT is None:
            return hidden.mean(dim=1)
        weights_BT1 = mask_BT.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights_BT1).sum(dim=1) / weights_BT1.sum(dim=1)


def hidden_size(config: Any) -> int:
    """Width of the backbone's output vectors."""
    return int(config.hidden_sizes[-1] if hasattr(config, "hidden_sizes") else config.hidden_size)


def build_backbone(config: Any) -> nn.Module:
    """The bare backbone of a configuration, with random weights."""
    if plugs.exists("family", config.model_type):
        return plugs.load("family", config.model_type).cls.build(config)
    kind = backbone_class(config)
    return kind(config, **without_pooler(kind))


def backbone_class(config: Any) -> type[Any]:
    """The class of transformers that `build_backbone` makes."""
    from transformers import AutoModel

    with torch.device("meta"):
        if plugs.exists("family", config.model_type):
            return type(plugs.load("family", config.model_type).cls.build(config))
        return type(AutoModel.from_config(config, trust_remote_code=False))


def without_pooler(kind: type[Any]) -> dict[str, bool]:
    """The argument that leaves out the pretraining's layer above the first token, if any."""
    accepted = inspect.signature(kind.__init__).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in accepted else {}


def trainable(module: nn.Module) -> int:
    """Number of weights that training changes."""
    return sum(weight.numel() for weight in module.parameters() if weight.requires_grad)


def total(module: nn.Module) -> int:
    """Number of weights."""
    return sum(weight.numel() for weight in module.parameters())
