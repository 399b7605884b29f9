"""DeiT: ViT with a second token that its pretraining distilled into."""

from __future__ import annotations

from typing import Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.models.families import Block, Family, _vit_like

VERSION = 1


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class DeiT(Family):
    """See the module."""

    modality = "image"
    cuts = frozenset({"layers", "heads", "ffn"})
    patches = True
    sizes: ClassVar[dict[str, dict[str, Any]]] = {
        "deit-tiny": {"num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 4}
    }

    @classmethod
    def config(cls, size: str, **values: Any) -> Any:
        from transformers import DeiTConfig

        shape = cls.sizes[size]
        side = values["image_size"]
        return DeiTConfig(
            **shape,
            intermediate_size=4 * shape["hidden_size"],
            patch_size=max(2, side // 8),
            **values,
        )

    @classmethod
    def build(cls, config: Any) -> Any:
        from transformers import DeiTModel

        config._attn_implementation = "sdpa"
        return cls.fit_sizes(DeiTModel(config, add_pooling_layer=False))

    @classmethod
    def layers(cls, backbone: Any) -> Any:
        return backbone.layers

    @classmethod
    def block(cls, layer: Any) -> Block:
        return _vit_like.block(layer)
