"""The classifier that the peers of bench/serving.py serve: tokenizers and ONNX Runtime alone.

    model.onnx       dynamic batch and length; inputs by their names in BERT
    tokenizer.json
    labels.json      names in the order of the logits

The folder is named by the variable MODEL, the threads of a call by THREADS.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

MAX_TOKENS = 256


class Classifier:
    """Answers lists of texts, padded to the longest of a list."""

    def __init__(self) -> None:
        folder = Path(os.environ["MODEL"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("THREADS", "0"))
        self.session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
        self.names = [one.name for one in self.session.get_inputs()]
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.tokenizer.enable_padding()
        self.labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))

    def __call__(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        encoded = self.tokenizer.encode_batch(list(texts))
        columns = {
            "input_ids": [one.ids for one in encoded],
            "attention_mask": [one.attention_mask for one in encoded],
            "token_type_ids": [one.type_ids for one in encoded],
        }
        feed = {name: np.array(columns[name], dtype=np.int64) for name in self.names}
        logits = self.session.run(None, feed)[0]
        shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
        scores = shifted / shifted.sum(axis=-1, keepdims=True)
        best = scores.argmax(axis=-1)
        return [
            {"label": self.labels[int(i)], "score": float(scores[row, i])}
            for row, i in enumerate(best)
        ]
