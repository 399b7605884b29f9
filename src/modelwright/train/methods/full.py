"""Full fine-tuning: every weight of backbone and head is trained.

The best quality where memory and time allow; the default.

    finetune: {method: full}
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
class Full(Method):
    """See the module."""

    learning_rate: ClassVar[float] = 3e-4

    def prepare(self, network: Any) -> None:
        for weight in network.parameters():
            weight.requires_grad_(True)
