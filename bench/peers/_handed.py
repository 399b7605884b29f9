"""What bench/compression.py hands to a peer, read without Modelwright; numpy alone.

config.json model.safetensors tokenizer.json     the fine-tuned model as a plain folder
model.onnx                                       its graph in fp32, dynamic batch and length
handed.json                                      input names, pad_id
NAME.npz                                         rows: ids, types, starts, labels, batch
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


class Rows:
    """Encoded rows of one name, in the calls that are made of them.

    Args:
        folder: the handed folder.
        name: train, validation, test, or a kind of call (single, large, real).
    """

    def __init__(self, folder: Path, name: str) -> None:
        settings = json.loads((folder / "handed.json").read_text(encoding="utf-8"))
        with np.load(folder / f"{name}.npz") as stored:
            self.ids, self.types = stored["ids"], stored["types"]
            self.starts, self.labels = stored["starts"], stored["labels"]
            self.size = int(stored["batch"])
        self.names, self.pad_id = settings["inputs"], settings["pad_id"]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def calls(self) -> int:
        """How many calls the rows make."""
        return -(-len(self) // self.size)

    def call(self, number: int) -> dict[str, np.ndarray]:
        """The inputs of one call."""
        first = number * self.size
        return self.padded(range(first, min(first + self.size, len(self))))

    def padded(self, index: range) -> dict[str, np.ndarray]:
        """Rows padded to the longest of them."""
        lengths = [int(self.starts[i + 1] - self.starts[i]) for i in index]
        shape = (len(lengths), max(lengths))
        found = {name: np.zeros(shape, dtype=np.int64) for name in self.names}
        if self.pad_id:
            found["input_ids"][:] = self.pad_id
        for place, (at, length) in enumerate(zip(index, lengths, strict=True)):
            part = slice(self.starts[at], self.starts[at] + length)
            found["input_ids"][place, :length] = self.ids[part]
            if "attention_mask" in found:
                found["attention_mask"][place, :length] = 1
            if "token_type_ids" in found:
                found["token_type_ids"][place, :length] = self.types[part]
        return found

    def batches(self) -> Iterator[dict[str, np.ndarray]]:
        """All calls in order."""
        return (self.call(number) for number in range(self.calls))

    def accuracy(self, run: Any) -> float:
        """Share of rows that `run(inputs) -> logits` answers right."""
        answers = np.concatenate([run(inputs).argmax(axis=-1) for inputs in self.batches()])
        return float((answers == self.labels).mean())
