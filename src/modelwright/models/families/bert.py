"""BERT: encoders with learnt positions and token types (BERT, MiniLM, BGE, and their kin).

The token types carry word shapes when a lower-casing tokenizer is used for tagging (see
encoders/text.py).
"""

from __future__ import annotations

from typing import Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.models.families import Block, Family, _bert_like

VERSION = 1


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Bert(Family):
    """See the module."""

    modality = "text"
    cuts = frozenset({"vocabulary", "layers", "heads", "ffn"})
    sizes: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 4},
        "small": {"num_hidden_layers": 4, "hidden_size": 256, "num_attention_heads": 8},
        "base": {"num_hidden_layers": 8, "hidden_size": 512, "num_attention_heads": 8},
    }

    @classmethod
    def config(cls, size: str, **values: Any) -> Any:
        from transformers import BertConfig

        shape = cls.sizes[size]
        return BertConfig(
            **shape,
            intermediate_size=4 * shape["hidden_size"],
            max_position_embeddings=512,
            **values,
        )

    @classmethod
    def build(cls, config: Any) -> Any:
        from transformers import BertModel

        config._attn_implementation = "sdpa"
        return cls.fit_sizes(BertModel(config, add_pooling_layer=False))

    @classmethod
    def layers(cls, backbone: Any) -> Any:
        return _bert_like.layers(backbone)

    @classmethod
    def block(cls, layer: Any) -> Block:
        return _bert_like.block(layer)

    @classmethod
    def position_embeddings(cls, backbone: Any) -> Any:
        return backbone.embeddings.position_embeddings

    @classmethod
    def type_embeddings(cls, backbone: Any) -> Any:
        return backbone.embeddings.token_type_embeddings

    @classmethod
    def grow_types(cls, backbone: Any, types: int) -> None:
        _bert_like.grow_types(backbone, types)
