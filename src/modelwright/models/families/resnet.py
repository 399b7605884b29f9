"""ResNet: convolutional backbones for images; the default from scratch.

The stem of the published architecture shrinks an image four times, too much for small pictures:
small images are enlarged first (see `train/stage.py`).
"""

from __future__ import annotations

from typing import Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.models.families import Family

VERSION = 1


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class ResNet(Family):
    """See the module."""

    modality = "image"
    sizes: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"embedding_size": 16, "hidden_sizes": [16, 32, 64], "depths": [1, 1, 1]},
        "small": {"embedding_size": 32, "hidden_sizes": [48, 96, 192], "depths": [1, 1, 1]},
        "base": {"embedding_size": 64, "hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2]},
    }

    @classmethod
    def config(cls, size: str, **values: Any) -> Any:
        from transformers import ResNetConfig

        return ResNetConfig(**cls.sizes[size], layer_type="basic", **values)

    @classmethod
    def build(cls, config: Any) -> Any:
        from transformers import ResNetModel

        return ResNetModel(config)
