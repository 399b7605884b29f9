"""Head only: the backbone stays as it is and a linear head is trained on its vectors.

Minutes become seconds and the base is untouched; quality depends on how well the base's vectors
already separate the classes. Useful for a first look, for few rows and for many small tasks.

    finetune: {method: head}
"""

from __future__ import annotations

from typing import Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.train.methods import Method

VERSION = 1


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Head(Method):
    """See the module."""

    learning_rate: ClassVar[float] = 1e-2
    epochs_factor: ClassVar[float] = 1.5

    def prepare(self, network: Any) -> None:
        for weight in network.backbone.parameters():
            weight.requires_grad_(False)
        network.freeze_backbone()

    def finish(self, network: Any) -> None:
        network.unfreeze_backbone()
        super().finish(network)
