"""ONNX Runtime: runs a packaged graph alone, with the threads it is given."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelwright import plugs
from modelwright.engines import Bundle
from modelwright.engines._runtime import RuntimeSettings, write_runtime
from modelwright.errors import UserError

CLS = plugs.load("engine", "onnxruntime").cls


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path) -> Any:
    return CLS(tiny_bundle / "variants" / "onnx-fp32", threads=1)


def batch(rows: int, tokens: int) -> dict[str, np.ndarray]:
    ids = np.full((rows, tokens), 7, np.int64)
    return {
        "input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)
    }  # fmt: skip


@pytest.mark.parametrize(("rows", "tokens"), [(1, 2), (3, 17), (8, 256)])
def test_a_batch_gives_float32_logits(engine: Any, rows: int, tokens: int) -> None:
    logits = engine.run(batch(rows, tokens))
    assert logits.shape == (rows, 4)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


def test_inputs_that_the_graph_does_not_know_are_passed_over(engine: Any) -> None:
    given = batch(2, 5)
    extra = {**given, "pixel_values": np.zeros((2, 3, 4, 4), np.float32)}
    assert np.array_equal(engine.run(given), engine.run(extra))


def test_the_number_of_threads_changes_no_answer(tiny_bundle: Path, engine: Any) -> None:
    two = CLS(tiny_bundle / "variants" / "onnx-fp32", threads=2)
    assert np.allclose(engine.run(batch(4, 30)), two.run(batch(4, 30)), atol=1e-5)
    two.close()


def test_a_closed_engine_holds_no_session(tiny_bundle: Path) -> None:
    engine = CLS(tiny_bundle / "variants" / "onnx-int8", threads=1)
    engine.run(batch(1, 4))
    engine.close()
    assert engine._sessions == []


@pytest.mark.parametrize("variant", ["onnx-fp32", "onnx-int8"])
def test_a_bundle_runs_rows_in_order_whatever_their_lengths(
    tiny_bundle: Path, variant: str
) -> None:
    bundle = Bundle.open(tiny_bundle, variant, threads=1)
    texts = ["refund " * (1 + 37 * i % 50) for i in range(70)]
    together = bundle.predict(texts)
    alone = [bundle.predict([text])[0] for text in texts]
    assert [one["label"] for one in together] == [one["label"] for one in alone]
    assert bundle.predict([]) == []
    bundle.close()


def test_streams_run_batches_side_by_side_with_the_same_answers(
    tiny_bundle: Path, tmp_path: Path, engine: Any
) -> None:
    place = tmp_path / "onnx-fp32"
    shutil.copytree(tiny_bundle / "variants" / "onnx-fp32", place)
    write_runtime(place, RuntimeSettings(threads=2, streams=2))
    streams = CLS(place, threads=2)
    assert streams.limits.workers == 2
    batches = [batch(1 + i % 4, 3 + i) for i in range(40)]
    pairs = zip(engine.run_many(batches), streams.run_many(iter(batches)), strict=True)
    assert all(np.allclose(one, other, atol=1e-5) for one, other in pairs)
    streams.close()
    assert CLS(place, threads=1).limits.workers == 1


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ("one text", "the inputs are one input"),
        ({"text": "one text"}, "the inputs are one input"),
        (["fine", None], "input 2"),
        (["fine", 5], "input 2"),
        (["fine", {"txt": "x"}], "input 2"),
    ],
)
def test_inputs_that_are_none_are_refused_by_their_place(
    tiny_bundle: Path, inputs: Any, said: str
) -> None:
    """A text alone would be answered character by character."""
    opened = Bundle.open(tiny_bundle, "onnx-fp32", threads=1)
    with pytest.raises(UserError, match=said) as raised:
        opened.predict(inputs)
    assert raised.value.problem.code == "MW-606"
    opened.close()
