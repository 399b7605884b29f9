"""OpenVINO's forms: what is written, fused, and said while it is done."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from modelwright import plugs
from modelwright.engines._bundle import open_variant
from modelwright.errors import GateError
from modelwright.formats import _openvino
from modelwright.models.bases import resolve
from modelwright.models.preparing import Shape, prepare
from modelwright.tasks import TaskSpec

if TYPE_CHECKING:
    from modelwright.formats import Draft
    from modelwright.models.checkpoint import TrainedModel

PLUG = plugs.load("format", "openvino")
TEXTS = ["where is my refund", "close the account " * 9, "订单"]
EVERY = ["fp32", "bf16", "fp16", "int8-weights", "int4-weights"]


def written(model: TrainedModel, folder: Path, **options: Any) -> dict[str, Draft]:
    drafts = PLUG.cls(PLUG.config(**options)).write(model, folder)
    return {draft.name: draft for draft in drafts}


def images(size: str) -> TrainedModel:
    torch.manual_seed(0)
    task = plugs.load("task", "image-classification").cls(TaskSpec(labels=("a", "b")))
    shape = Shape(image_size=16, channels=1)
    return prepare(resolve(f"scratch:{size}", "image", Path()), task, shape)


@pytest.fixture(scope="module")
def forms(trained: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forms")
    written(trained, folder, forms=EVERY)
    return folder


def test_only_fp32_is_called_exact(trained: TrainedModel, tmp_path: Path) -> None:
    drafts = written(trained, tmp_path)
    assert {name: draft.exact for name, draft in drafts.items()} == {
        "openvino-fp32": True, "openvino-bf16": False
    }  # fmt: skip
    names = {path.name for path in (tmp_path / "openvino-fp32").iterdir()}
    assert names == {"model.xml", "model.bin", "runtime.json"}


def test_fewer_bits_take_less_room(forms: Path) -> None:
    sizes = {form: (forms / f"openvino-{form}" / "model.bin").stat().st_size for form in EVERY}
    assert sizes["bf16"] == sizes["fp16"] < 0.51 * sizes["fp32"]
    assert sizes["int4-weights"] < sizes["int8-weights"] < 0.27 * sizes["fp32"]


@pytest.mark.parametrize(("form", "off"), [("fp32", 1e-4), ("fp16", 0.05), ("bf16", 0.5)])
def test_any_batch_and_length_gives_the_trained_answers(
    trained: TrainedModel, forms: Path, form: str, off: float
) -> None:
    place = forms / f"openvino-{form}"
    variant = open_variant(place, "openvino", trained.task, trained.encoder, threads=1)
    features = variant.encode([*TEXTS, "", "word " * 5000])
    for chosen in (features, features[:1], features[-1:], features * 4):
        pairs = zip(trained.logits(chosen), variant.logits(chosen), strict=True)
        assert max(np.abs(one - other).max() for one, other in pairs) < off


@pytest.mark.parametrize("form", EVERY)
def test_every_layer_has_fused_attention(trained: TrainedModel, forms: Path, form: str) -> None:
    layers = trained.network.backbone.config.num_hidden_layers
    found = _openvino.fusions(forms / f"openvino-{form}", trained)
    assert found == {"attention": layers, "layers": layers}


def test_lost_fusion_is_an_error(trained: TrainedModel, forms: Path) -> None:
    config = trained.network.backbone.config
    config.num_hidden_layers += 1
    try:
        with pytest.raises(GateError, match="2 of 3 attention layers"):
            _openvino.fusions(forms / "openvino-fp32", trained)
    finally:
        config.num_hidden_layers -= 1


@pytest.mark.parametrize(("size", "layers"), [("tiny", 0), ("vit-tiny", 4)])
def test_images_are_exported_and_their_attention_is_fused(
    tmp_path: Path, size: str, layers: int
) -> None:
    model = images(size)
    written(model, tmp_path, forms=["fp32"])
    place = tmp_path / "openvino-fp32"
    assert _openvino.fusions(place, model) == {"attention": layers, "layers": layers}
    variant = open_variant(place, "openvino", model.task, model.encoder, threads=2)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 1), dtype=np.uint8)
    features = [{"pixels": one} for one in pixels]
    pairs = zip(model.logits(features), variant.logits(features), strict=True)
    assert max(np.abs(one - other).max() for one, other in pairs) < 1e-4


def test_nothing_is_said_and_nothing_is_left_behind(
    trained: TrainedModel, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = (logging.root.level, logging.root.manager.disable)
    kind, draw = trained.network.backbone.config._attn_implementation, torch.get_rng_state()
    capfd.readouterr()
    written(trained, tmp_path, forms=["fp32", "int8-weights"])
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")
    assert (logging.root.level, logging.root.manager.disable) == before
    assert trained.network.backbone.config._attn_implementation == kind
    assert torch.equal(torch.get_rng_state(), draw)


def test_the_libraries_send_nothing_and_write_nothing_at_home(tmp_path: Path) -> None:
    program = (
        "from modelwright.runtime import libraries\n"
        "libraries.openvino().Core(), libraries.nncf()\n"
        "import sys; print(sys.modules.get('openvino_telemetry'))"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert done.stdout.split() == ["None"]
    assert list(tmp_path.iterdir()) == []
