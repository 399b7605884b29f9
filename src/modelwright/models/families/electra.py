"""ELECTRA: BERT pretrained to find replaced words; its small sizes have narrow embeddings."""

from __future__ import annotations

from typing import Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.models.families import Block, Family, _bert_like

VERSION = 1


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Electra(Family):
    """See the module."""

    modality = "text"
    cuts = frozenset({"vocabulary", "layers", "heads", "ffn"})
    sizes: ClassVar[dict[str, dict[str, Any]]] = {
        "electra-tiny": {"num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 4}
    }

    @classmethod
    def config(cls, size: str, **values: Any) -> Any:
        from transformers import ElectraConfig

        shape = cls.sizes[size]
        return ElectraConfig(
            **shape,
            intermediate_size=4 * shape["hidden_size"],
            max_position_embeddings=512,
            embedding_size=shape["hidden_size"] // 2,
            **values,
        )

    @classmethod
    def build(cls, config: Any) -> Any:
        from transformers import ElectraModel

        config._attn_implementation = "sdpa"
        return cls.fit_sizes(ElectraModel(config))

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
