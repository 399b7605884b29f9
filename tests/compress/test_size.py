"""The ledger's bytes are the folder's bytes, tensor by tensor."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from modelwright.compress.size import attention_fused, size_ledger
from modelwright.formats import _onnx
from modelwright.models.checkpoint import TrainedModel


def whole(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_safetensors(tmp_path: Path) -> None:
    table = np.zeros((100, 8), dtype=np.float16)
    save_file({"words": table, "bias": np.zeros(4, np.float32)}, str(tmp_path / "m.safetensors"))
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "tokenizer.json").write_text(json.dumps({"a": "b" * 50}))
    ledger = size_ledger(tmp_path)
    assert ledger[0] == {"tensor": "words", "dtype": "f16", "shape": [100, 8], "bytes": 1600}
    assert ledger[1]["tensor"] == "1 small tensors"
    assert [entry["tensor"] for entry in ledger[2:]] == [
        "m.safetensors without tensors",
        "tokenizer/tokenizer.json",
    ]
    assert sum(entry["bytes"] for entry in ledger) == whole(tmp_path)
    assert attention_fused(tmp_path) is None


def test_onnx_in_32_and_8_bits(learnt: TrainedModel, tmp_path: Path) -> None:
    full, small = tmp_path / "full", tmp_path / "small"
    full.mkdir()
    _onnx.export(learnt, full / "model.onnx")
    _onnx.fuse(learnt, full / "model.onnx")
    _onnx.quantize_dynamic(full / "model.onnx", small)
    for folder, dtype in ((full, "float"), (small, "int8")):
        ledger = size_ledger(folder)
        assert sum(entry["bytes"] for entry in ledger) == whole(folder)
        assert any(e["dtype"] == dtype and sorted(e["shape"]) == [128, 512] for e in ledger)
        assert attention_fused(folder) == 2


def test_openvinos_graph_and_weights(learnt: TrainedModel, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    from modelwright.formats import _openvino

    draft = _openvino.write_form(_openvino.convert(learnt), "fp32", tmp_path)
    folder = tmp_path / draft.name
    ledger = size_ledger(folder)
    assert sum(entry["bytes"] for entry in ledger) == whole(folder)
    words = learnt.network.backbone.embeddings.word_embeddings.weight  # type: ignore[union-attr]
    shapes = {tuple(entry["shape"]): entry for entry in ledger if entry["dtype"] == "f32"}
    assert "word_embeddings" in shapes[tuple(words.shape)]["tensor"]
    assert attention_fused(folder) == 2


def test_an_onnx_graph_with_weights_beside_it_is_counted_once(tmp_path: Path) -> None:
    import onnx

    weight = onnx.numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(n, 1, [1, 64]) for n in "xy"]
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [weight])
    onnx.save(
        onnx.helper.make_model(graph),
        str(tmp_path / "model.onnx"),
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=0,
    )
    ledger = size_ledger(tmp_path)
    assert ledger[0] == {"tensor": "w", "dtype": "float", "shape": [64, 64], "bytes": 16384}
    assert sum(entry["bytes"] for entry in ledger) == whole(tmp_path)
