"""int4-embeddings: static int8 with a smaller table of words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from modelwright import plugs
from modelwright.compress.passes import Form, Piece
from modelwright.engines._bundle import open_variant
from modelwright.formats import _embeddings

if TYPE_CHECKING:
    from modelwright.compress.passes import Material
    from modelwright.models.checkpoint import TrainedModel


def form_of(name: str, model: TrainedModel, material: Material) -> Form:
    plug = plugs.load("pass", name)
    form = plug.cls(plug.config(calibration_rows=16)).apply(Piece(model), {}, material).form
    assert form is not None
    return form


def test_the_table_takes_half_of_its_bytes_and_answers_stay(
    teacher: TrainedModel, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_embeddings, "LEAST_ROWS", 10)
    table = teacher.network.backbone.get_input_embeddings().weight.numel()  # type: ignore[union-attr]
    sizes, answers = [], []
    for name in ("int8-static", "int4-embeddings"):
        form = form_of(name, teacher, material)
        sizes.append((form.folder / "model.bin").stat().st_size)
        variant = open_variant(form.folder, "openvino", teacher.task, teacher.encoder)
        features = variant.encode([teacher.task.example(row) for row in material.rows])
        answers.append(np.stack(variant.logits(features)).argmax(axis=1))
        variant.engine.close()
    saved = 1 - _embeddings.GROUP**-1 * 2 - 0.5
    assert sizes[0] - sizes[1] > 0.95 * saved * table
    assert (answers[0] == answers[1]).mean() >= 0.95
