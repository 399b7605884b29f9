"""LoRA: low-rank updates beside the backbone's linear layers, merged in when training ends.

A few percent of the weights are trained, so optimizer memory shrinks and the base's knowledge is
disturbed less. The merged model is as fast as a fully fine-tuned one. (Hu et al. 2021)

    finetune: {method: {lora: {rank: 16}}}
"""

from __future__ import annotations

from typing import Any, ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.errors import UserError
from modelwright.train.methods import Method

VERSION = 1
REQUIRES = {"peft": "train"}


class Config(BaseModel):
    """Options of LoRA."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    rank: int = Field(16, ge=1, le=1024, description="Rank of the updates.")
    alpha: float = Field(32.0, gt=0, description="Scale of the updates is alpha / rank.")
    dropout: float = Field(0.05, ge=0, lt=1, description="Dropout before the update.")


@final
class Lora(Method):
    """See the module."""

    learning_rate: ClassVar[float] = 2e-3

    def prepare(self, network: Any) -> None:
        import torch
        from peft import LoraConfig, inject_adapter_in_model

        targets = sorted(
            name
            for name, module in network.backbone.named_modules()
            if isinstance(module, torch.nn.Linear)
        )
        if not targets:
            raise UserError(
                "MW-403",
                "LoRA needs linear layers, and this backbone has none",
                expected="a transformer backbone",
                fix="write `finetune: {method: full}` (or head)",
            )
        settings = LoraConfig(
            r=self.config.rank,
            lora_alpha=self.config.alpha,
            lora_dropout=self.config.dropout,
            target_modules=targets,
        )
        inject_adapter_in_model(settings, network.backbone)
        for name, weight in network.backbone.named_parameters():
            weight.requires_grad_("lora_" in name)

    def finish(self, network: Any) -> None:
        from peft.tuners.lora import LoraLayer

        for parent in list(network.backbone.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, LoraLayer):
                    child.merge()  # type: ignore[operator]
                    setattr(parent, name, child.get_base_layer())
        super().finish(network)
