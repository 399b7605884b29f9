"""DistilBERT: BERT of half as many layers, without token types."""

from __future__ import annotations

from typing import Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.models.families import Block, Family

VERSION = 1


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class DistilBert(Family):
    """See the module."""

    modality = "text"
    cuts = frozenset({"vocabulary", "layers", "heads", "ffn"})
    neurons_key = "hidden_dim"
    sizes: ClassVar[dict[str, dict[str, Any]]] = {
        "distilbert-tiny": {"n_layers": 2, "dim": 128, "n_heads": 4}
    }

    @classmethod
    def config(cls, size: str, **values: Any) -> Any:
        from transformers import DistilBertConfig

        shape = cls.sizes[size]
        return DistilBertConfig(
            **shape,
            hidden_dim=4 * shape["dim"],
            max_position_embeddings=512,
            **values,
        )

    @classmethod
    def build(cls, config: Any) -> Any:
        from transformers import DistilBertModel

        config._attn_implementation = "sdpa"
        return cls.fit_sizes(DistilBertModel(config))

    @classmethod
    def layers(cls, backbone: Any) -> Any:
        return backbone.transformer.layer

    @classmethod
    def block(cls, layer: Any) -> Block:
        attention, ffn = layer.attention, layer.ffn
        return Block(
            attention.q_lin,
            attention.k_lin,
            attention.v_lin,
            attention.out_lin,
            ffn.lin1,
            ffn.lin2,
            attention.attention_head_size,
        )

    @classmethod
    def position_embeddings(cls, backbone: Any) -> Any:
        return backbone.embeddings.position_embeddings
