"""RoBERTa: BERT without token types, with byte-level pieces; positions follow the padding's id."""

from __future__ import annotations

from typing import Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.models.families import Block, Family, _bert_like

VERSION = 1


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Roberta(Family):
    """See the module."""

    modality = "text"
    cuts = frozenset({"vocabulary", "layers", "heads", "ffn"})
    sizes: ClassVar[dict[str, dict[str, Any]]] = {
        "roberta-tiny": {"num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 4}
    }

    @classmethod
    def config(cls, size: str, **values: Any) -> Any:
        from transformers import RobertaConfig

        shape = cls.sizes[size]
        return RobertaConfig(
            **shape,
            intermediate_size=4 * shape["hidden_size"],
            max_position_embeddings=514,
            type_vocab_size=1,
            **values,
        )

    @classmethod
    def build(cls, config: Any) -> Any:
        from transformers import RobertaModel

        config._attn_implementation = "sdpa"
        return cls.fit_sizes(RobertaModel(config, add_pooling_layer=False))

    @classmethod
    def layers(cls, backbone: Any) -> Any:
        return _bert_like.layers(backbone)

    @classmethod
    def block(cls, layer: Any) -> Block:
        return _bert_like.block(layer)

    @classmethod
    def position_embeddings(cls, backbone: Any) -> Any:
        return backbone.embeddings.position_embeddings
