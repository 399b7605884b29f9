"""The torch engine: the trained network itself, the reference of the other engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from modelwright import plugs
from modelwright.engines import Bundle

CLS = plugs.load("engine", "torch").cls


def batch(rows: int, tokens: int) -> dict[str, np.ndarray]:
    ids = np.full((rows, tokens), 7, np.int64)
    return {
        "input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)
    }  # fmt: skip


def test_it_answers_without_dropout_and_without_gradients(tiny_bundle: Path) -> None:
    engine = CLS(tiny_bundle / "variants" / "torch-fp32")
    one, two = engine.run(batch(3, 9)), engine.run(batch(3, 9))
    assert one.shape == (3, 4)
    assert one.dtype == np.float32
    assert np.array_equal(one, two)
    engine.close()
    assert engine._network is None


def test_the_number_of_threads_is_the_callers(tiny_bundle: Path) -> None:
    before = torch.get_num_threads()
    try:
        engine = CLS(tiny_bundle / "variants" / "torch-fp32", threads=2)
        assert torch.get_num_threads() == 2
        engine.close()
    finally:
        torch.set_num_threads(before)


def test_it_agrees_with_the_onnx_form(tiny_bundle: Path) -> None:
    texts = ["where is my refund", "close the account", "gift card", "订单在哪里"]
    answers = {}
    for name in ("torch-fp32", "onnx-fp32"):
        bundle = Bundle.open(tiny_bundle, name, threads=1)
        answers[name] = np.stack(bundle.logits(bundle.encode(texts)))
        bundle.close()
    assert np.abs(answers["torch-fp32"] - answers["onnx-fp32"]).max() < 1e-4
