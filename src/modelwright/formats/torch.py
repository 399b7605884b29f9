"""torch-fp32: the network in safetensors with its configuration, as it was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

from pydantic import BaseModel, ConfigDict

from modelwright.formats import Draft, Format

VERSION = 1
REQUIRES = {"torch": "train"}


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class TorchFormat(Format):
    """See the module."""

    def write(self, model: Any, variants: Path) -> list[Draft]:
        model.save_network(variants / "torch-fp32")
        return [Draft("torch-fp32", "torch", "fp32", exact=True)]
