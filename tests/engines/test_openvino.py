"""OpenVINO: the same answers alone, in batches, on streams and from several threads."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from modelwright import plugs
from modelwright.engines._bundle import open_variant
from modelwright.engines._runtime import RuntimeSettings, read_runtime, write_runtime
from modelwright.formats import _openvino

if TYPE_CHECKING:
    from modelwright.models.checkpoint import TrainedModel

CLS = plugs.load("engine", "openvino").cls
TEXTS = ["refund " * (1 + 37 * i % 50) for i in range(70)]


def batch(rows: int, tokens: int) -> dict[str, np.ndarray]:
    ids = np.full((rows, tokens), 7, np.int64)
    return {
        "input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(trained: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("form")
    _openvino.save(_openvino.convert(trained), place, RuntimeSettings(threads=2, streams=2))
    return place


@pytest.mark.parametrize(("rows", "tokens"), [(1, 2), (3, 17), (8, 256)])
def test_a_batch_gives_float32_logits(folder: Path, rows: int, tokens: int) -> None:
    logits = CLS(folder, threads=1).run(batch(rows, tokens))
    assert logits.shape == (rows, 4)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


def test_the_callers_threads_win_over_what_the_folder_says(folder: Path) -> None:
    assert CLS(folder, threads=1).limits.workers == 1
    assert CLS(folder, threads=2).limits.workers == 2
    compiled = CLS(folder, threads=1)._any.model
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
    assert compiled.get_property("ENABLE_CPU_PINNING") is False


def test_fp32_is_meant_where_nothing_else_is_said(folder: Path) -> None:
    assert (
        str(CLS(folder)._any.model.get_property("INFERENCE_PRECISION_HINT")) == "<Type: 'float32'>"
    )


@pytest.mark.parametrize("precision", ["f32", "bf16"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("widths", [(), (8, 16, 48)])
def test_an_answer_is_the_same_to_the_last_bit_whatever_else_is_asked(
    trained: TrainedModel, folder: Path, tmp_path: Path, precision: Any, threads: int, widths: Any
) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    write_runtime(tmp_path, RuntimeSettings(precision, 2, 2, widths=widths))
    variant = open_variant(tmp_path, "openvino", trained.task, trained.encoder, threads=threads)
    features = variant.encode(TEXTS)
    together = variant.logits(features)
    assert np.array_equal(together, [variant.logits([one])[0] for one in features])
    assert np.array_equal(together, variant.logits(features[::-1])[::-1])


def test_many_batches_come_back_in_order(folder: Path) -> None:
    engine = CLS(folder, threads=2)
    batches = [batch(1 + i % 3, 2 + 5 * i % 40) for i in range(25)]
    for ids, given in enumerate(batches):
        given["input_ids"][:] = ids + 5
    one_by_one = [engine.run(given) for given in batches]
    for first, second in zip(one_by_one, engine.run_many(iter(batches)), strict=True):
        assert np.array_equal(first, second)
    assert engine.run_many([]) == []


def test_several_threads_may_ask_at_once(folder: Path) -> None:
    engine = CLS(folder, threads=2)
    batches = [batch(2, 3 + i % 20) for i in range(40)]
    for ids, given in enumerate(batches):
        given["input_ids"][:] = ids + 5
    expected = [engine.run(given) for given in batches]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda i: engine.run_many(batches[i : i + 3]), range(0, 39, 3)))
    flat = [logits for some in answers for logits in some]
    assert all(np.array_equal(one, other) for one, other in zip(expected, flat, strict=False))


def test_a_closed_engine_holds_no_model(folder: Path) -> None:
    engine = CLS(folder, threads=1)
    engine.run(batch(1, 4))
    engine.close()
    assert engine._any is None


def test_settings_are_kept_beside_the_model(tmp_path: Path) -> None:
    assert read_runtime(tmp_path) == RuntimeSettings()
    settings = RuntimeSettings("bf16", 2, 2, tokens=256, widths=(16, 32))
    write_runtime(tmp_path, settings)
    assert read_runtime(tmp_path) == settings
    assert set(json.loads((tmp_path / "runtime.json").read_text())) >= {
        "inference_precision", "threads", "streams"
    }  # fmt: skip
    assert RuntimeSettings(threads=4, streams=4).placed(1) == (1, 1)


def test_a_variant_reads_with_the_tokenizer_in_its_own_folder(
    trained: TrainedModel, folder: Path, tmp_path: Path
) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    trained.encoder.save(tmp_path / "tokenizer")
    variant = open_variant(tmp_path, "openvino", trained.task, encoder=None)
    assert variant.encode(TEXTS) == trained.task.encode(TEXTS, trained.encoder)
