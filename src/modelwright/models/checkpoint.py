"""A trained network with its task and its encoder, on disk and in memory.

checkpoint/
  model.safetensors   all weights       config.json    the backbone's configuration
  network.json        the head          task.json      task, labels, options
  encoder.json (+ tokenizer.json)       training.json  how it was trained
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modelwright.encoders import open_encoder
from modelwright.encoders.batches import batches_by_length, collate, unpad
from modelwright.encoders.image import ImageEncoder
from modelwright.encoders.text import TextEncoder
from modelwright.models.network import Network, NetworkSettings, build_backbone
from modelwright.runtime.files import read_json, write_json
from modelwright.tasks import Features, Prediction, Task, restore_task, store_task

EVAL_TOKENS = 8192


class TrainedModel:
    """A network ready to answer.

    Args:
        task: the task with its labels.
        encoder: the encoder that trained.
        network: the network; set to evaluation mode when it answers.
    """

    def __init__(self, task: Task, encoder: TextEncoder | ImageEncoder, network: Network) -> None:
        self.task, self.encoder, self.network = task, encoder, network

    def predict(self, inputs: Sequence[Any]) -> list[Prediction]:
        """Answers in the contract's form, in order."""
        features = self.task.encode(inputs, self.encoder)
        return self.task.decode(self.logits(features), features)

    def logits(self, features: Sequence[Features]) -> list[np.ndarray]:
        """Logits of each feature, [C] or [T, C], in order; batches hold like lengths."""
        return self._each(features, self.network)

    def vectors(self, features: Sequence[Features]) -> list[np.ndarray]:
        """What the head of a sequence task reads of each feature, [D], in order."""
        return self._each(features, self.network.embed)

    def _each(
        self, features: Sequence[Features], call: Callable[..., torch.Tensor]
    ) -> list[np.ndarray]:
        found: list[np.ndarray | None] = [None] * len(features)
        device = next(self.network.parameters()).device
        was_training = self.network.training
        self.network.eval()
        with torch.inference_mode():
            for index in batches_by_length(features, EVAL_TOKENS):
                arrays = self.collate([features[i] for i in index])
                inputs = {
                    name: torch.from_numpy(array).to(device) for name, array in arrays.items()
                }
                output = call(**inputs).float().cpu().numpy()
                for place, row in zip(index, output, strict=True):
                    found[place] = unpad(row, features[place])
        self.network.train(was_training)
        return [row for row in found if row is not None]

    def collate(self, features: Sequence[Features]) -> dict[str, np.ndarray]:
        """One padded batch, ready for the network."""
        return collate(features, self.encoder)

    def save(self, folder: Path) -> None:
        """Write everything but `training.json`."""
        self.save_network(folder)
        write_json(folder / "task.json", store_task(self.task))
        self.encoder.save(folder)

    def save_network(self, folder: Path) -> None:
        """Write the network alone: weights, configuration, head."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        state = {name: value.contiguous() for name, value in self.network.state_dict().items()}
        save_file(state, str(folder / "model.safetensors"), metadata={"format": "pt"})
        config: Any = self.network.backbone.config
        config.to_json_file(str(folder / "config.json"))
        write_json(folder / "network.json", self.network.settings.as_dict())


def open_checkpoint(folder: Path) -> TrainedModel:
    """Open a checkpoint on the CPU, in evaluation mode."""
    task = restore_task(read_json(folder / "task.json"))
    return TrainedModel(task, open_encoder(folder), open_network(folder))


def open_network(folder: Path) -> Network:
    """The network of a checkpoint or of a bundle's torch variant, in evaluation mode."""
    from safetensors.torch import load_file
    from transformers import AutoConfig

    settings = read_json(folder / "network.json")
    settings["inputs"] = tuple(settings["inputs"])
    config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    network = Network(build_backbone(config), NetworkSettings(**settings))
    network.load_state_dict(load_file(str(folder / "model.safetensors")))
    return network.eval()
