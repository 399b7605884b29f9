"""PyTorch: runs the torch variant as it was trained; others are compared with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.engines import Engine
from modelwright.runtime.machine import quota_cores

if TYPE_CHECKING:
    import numpy as np

VERSION = 1
REQUIRES = {"torch": "train"}


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Torch(Engine):
    """See the module."""

    suffix: ClassVar[str] = "model.safetensors"

    def __init__(self, folder: Path, threads: int = 0) -> None:
        import torch

        from modelwright.models.checkpoint import open_network
        from modelwright.models.network import hidden_size

        if threads := threads or quota_cores():
            torch.set_num_threads(threads)
        self._network: Any = open_network(folder)
        if self._network.settings.head == "sequence":
            self.dimensions = hidden_size(self._network.backbone.config)

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return self._run(inputs, self._network)

    def vectors(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return self._run(inputs, self._network.embed)

    def _run(self, inputs: Mapping[str, np.ndarray], call: Any) -> np.ndarray:
        import torch

        with torch.inference_mode():
            tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
            return call(**tensors).float().numpy()

    def close(self) -> None:
        self._network = None
