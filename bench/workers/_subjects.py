"""What bench/compression.py measures, behind one interface: the uncompressed model, ours, a peer.

A call is a few rows; its time runs from token ids (or pixels) in memory to logits.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modelwright.encoders.batches import collate, of_length, unpad
from modelwright.models.checkpoint import TrainedModel


class Work:
    """Calls of one kind, made of the same inputs for everybody.

    Args:
        name: single, large or real.
        inputs: of each call, as users send them.
        length: tokens that every row is brought to; None leaves rows as they are.
    """

    def __init__(self, name: str, inputs: Sequence[Sequence[Any]], length: int | None) -> None:
        self.name, self.inputs, self.length = name, inputs, length

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def rows(self) -> int:
        """Rows of all calls."""
        return sum(map(len, self.inputs))

    def features(self, model: Any) -> list[list[Any]]:
        """Each call's rows, encoded by a model's own encoder."""
        found = [model.task.encode(list(call), model.encoder) for call in self.inputs]
        if self.length is None:
            return found
        return [[of_length(row, self.length) for row in call] for call in found]


class Subject(ABC):
    """Something that answers calls.

    Args:
        name: as the rows call it.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def seconds(self, work: Work, calls: Sequence[int]) -> list[float]:
        """Seconds of each call, in turn."""


class Local(Subject):
    """A model in this process: `run(features) -> logits of each`."""

    def __init__(self, name: str, model: Any) -> None:
        super().__init__(name)
        self.model = model
        self._features: dict[str, list[list[Any]]] = {}

    def seconds(self, work: Work, calls: Sequence[int]) -> list[float]:
        if work.name not in self._features:
            self._features[work.name] = work.features(self.model)
        features, found = self._features[work.name], []
        for number in calls:
            before = time.perf_counter()
            self.model.logits(features[number])
            found.append(time.perf_counter() - before)
        return found


class Eager:
    """The uncompressed model as a user runs it: PyTorch, fp32, padded to the longest of a call."""

    def __init__(self, model: TrainedModel) -> None:
        self.task, self.encoder, self.network = model.task, model.encoder, model.network.eval()

    def logits(self, features: Sequence[Any]) -> list[np.ndarray]:
        """Logits of each row of a call."""
        arrays = collate(features, self.encoder)
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
            found = self.network(**tensors).numpy()
        return [unpad(row, feature) for row, feature in zip(found, features, strict=True)]

    def predict(self, inputs: Sequence[Any]) -> list[Any]:
        """Answers to inputs as users send them."""
        features = self.task.encode(inputs, self.encoder)
        return self.task.decode(self.logits(features), features)


class Remote(Subject):
    """A peer's model in its own environment, asked over a pipe (peers/answering.py)."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        super().__init__(name)
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=dict(environment),
        )
        self._answer()

    def seconds(self, work: Work, calls: Sequence[int]) -> list[float]:
        return self._ask({"work": work.name, "calls": list(calls)})["seconds"]

    def logits(self, name: str, folder: Path) -> np.ndarray:
        """Answers to all rows of a handed file."""
        path = folder / f"logits-{name}.npy"
        self._ask({"logits": name, "to": str(path)})
        return np.load(path)

    def close(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(30)
        self._errors.close()

    def _ask(self, what: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise RuntimeError(f"{self.name} stopped: {self._errors.read()[-1500:]}")
        return json.loads(line)
