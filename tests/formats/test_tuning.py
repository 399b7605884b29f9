"""Measured settings: written beside the model, from those that were tried, answers unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from modelwright.engines._bundle import open_variant
from modelwright.engines._runtime import RuntimeSettings, read_runtime
from modelwright.formats import _openvino
from modelwright.formats._tuning import BATCHES, tune
from modelwright.runtime.machine import cores

if TYPE_CHECKING:
    from typing import Literal

    from modelwright.models.checkpoint import TrainedModel


@pytest.mark.parametrize("aim", ["one", "many"])
def test_the_settings_found_are_kept_and_change_no_answer(
    trained: TrainedModel, tmp_path: Path, aim: Literal["one", "many"]
) -> None:
    before = RuntimeSettings("f32", threads=1, streams=1)
    _openvino.save(_openvino.convert(trained), tmp_path, before)
    texts = ["where is my refund", "close the account " * 9, "gift card"] * 12
    features = trained.task.encode(texts, trained.encoder)
    variant = open_variant(tmp_path, "openvino", trained.task, trained.encoder)
    answers = variant.logits(features)

    found = tune(tmp_path, "openvino", trained.task, trained.encoder, features, aim)
    assert read_runtime(tmp_path) == found
    assert found.inference_precision == "f32"
    assert found.threads in {1, cores()}
    assert found.tokens in {0, *BATCHES}
    variant = open_variant(tmp_path, "openvino", trained.task, trained.encoder)
    assert np.allclose(variant.logits(features), answers, atol=1e-5)
