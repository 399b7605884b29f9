"""Proofs hold for what is right and fail for what is not."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modelwright import plugs
from modelwright.compress.passes import Material, Piece
from modelwright.compress.proof import (
    coverage,
    export_equals_torch,
    form_against_network,
    mask_equals_cut,
    stages_of,
    vocabulary_exact,
)
from modelwright.compress.session import Part
from modelwright.models.checkpoint import TrainedModel

Rows = list[dict[str, Any]]


@pytest.mark.slow
def test_every_stage_of_a_path_is_proven(
    teacher: TrainedModel, material: Material, tiny_dataset: Any, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    from modelwright.compress.points import Workshop, allowed_passes
    from modelwright.compress.session import CompressRequest, Session
    from modelwright.recipe.schema import Compress

    request = CompressRequest(
        Compress(),
        teacher,
        {},
        tiny_dataset,
        "quick",
        0,
        [],
        tmp_path / "out",
        tmp_path / "scratch",
    )
    rows = list(material.rows[:40])
    names = ("vocabulary", "layers", "heads", "ffn", "fp32", "bf16")
    session = Session(request, material, rows, rows, [])
    workshop = Workshop(session, allowed_passes({name: {} for name in names}, teacher))
    neurons = [list(range(0, 512, 3))]
    path = [
        {"pass": "vocabulary", "choice": {"common": 0}},
        {"pass": "layers", "choice": {"kept": [1]}},
        {"pass": "heads", "choice": {"kept": [[0, 2]]}},
        {"pass": "ffn", "choice": {"kept": neurons, "reconstruct": True}},
        {"pass": "fp32", "choice": {}},
    ]
    chosen = session.part(workshop.open(path), rows)
    proof = stages_of(workshop, path, session.part(teacher, rows), chosen)
    assert [stage["what"] for stage in proof["stages"]] == [
        "vocabulary exact",
        "mask equals cut",
        "export equals torch",
    ]
    assert all(stage["holds"] for stage in proof["stages"])
    assert proof["coverage"] == {"held_out_rows": 40, "rows_unchanged": 40, "share": 1.0}
    assert proof["fusions"] == {"attention": 1, "layers": 1}


@pytest.fixture
def small(learnt: TrainedModel, sentences: Rows, tmp_path: Path) -> TrainedModel:
    """`learnt` with the pieces of six of its rows."""
    plug = plugs.load("pass", "vocabulary")
    material = Material(learnt, sentences[:6], tmp_path, 0, settings=None)  # type: ignore[arg-type]
    return plug.cls(plug.config()).apply(Piece(learnt), {"common": 0}, material).model


def test_a_smaller_vocabulary_is_exact_where_it_covers(
    learnt: TrainedModel, small: TrainedModel, sentences: Rows
) -> None:
    stage = vocabulary_exact(learnt, small, sentences)
    assert stage["holds"]
    assert stage["max_abs_diff"] == 0.0
    covered = coverage(learnt, small, sentences)
    assert covered["held_out_rows"] == len(sentences)
    assert 6 <= covered["rows_unchanged"] < len(sentences)
    assert covered["rows_unchanged"] >= stage["rows"]


def test_a_vocabulary_is_not_proven_by_no_row(
    learnt: TrainedModel, small: TrainedModel, sentences: Rows
) -> None:
    gone = [row for row in sentences if vocabulary_exact(learnt, small, [row])["rows"] == 0]
    assert gone
    assert not vocabulary_exact(learnt, small, gone)["holds"]


def test_a_changed_vector_of_one_piece_is_found(
    learnt: TrainedModel, small: TrainedModel, sentences: Rows
) -> None:
    number = small.task.encode([sentences[0]["text"]], small.encoder)[0]["input_ids"][1]
    with torch.no_grad():
        small.network.backbone.embeddings.word_embeddings.weight[number] += 1e-3  # type: ignore[union-attr]
    stage = vocabulary_exact(learnt, small, sentences)
    assert not stage["holds"]
    assert stage["max_abs_diff"] > 0.0


def test_layers_are_passed_over_as_if_they_were_cut(learnt: TrainedModel, sentences: Rows) -> None:
    features = learnt.task.encode([row["text"] for row in sentences], learnt.encoder)
    before = learnt.logits(features)
    stage = mask_equals_cut(learnt, [1], [[0, 3]], [range(9, 300)], features)
    assert stage["holds"]
    assert stage["note"] == "1 layers, 2 heads, 291 neurons"
    assert all(map(np.array_equal, before, learnt.logits(features)))


def test_an_export_that_differs_is_found(learnt: TrainedModel, sentences: Rows) -> None:
    features = learnt.task.encode([row["text"] for row in sentences], learnt.encoder)
    other = TrainedModel(learnt.task, learnt.encoder, copy.deepcopy(learnt.network))
    assert export_equals_torch(learnt, other, features)["holds"]
    with torch.no_grad():
        other.network.head.bias[1] += 0.01
    stage = export_equals_torch(learnt, other, features)
    assert not stage["holds"]
    assert stage["max_abs_diff"] == pytest.approx(0.01, rel=1e-3)
    assert stage["note"].endswith("3 to 32 tokens")


@pytest.mark.parametrize("keep", [True, False])
def test_a_form_that_rounds_tells_its_agreement_and_worst_rows(
    learnt: TrainedModel, sentences: Rows, keep: bool
) -> None:
    features = learnt.task.encode([row["text"] for row in sentences], learnt.encoder)
    logits = [row.copy() for row in learnt.logits(features)]
    logits[7] = logits[7][::-1] * 3
    evidence = learnt.task.evidence(sentences, logits, features)
    chosen = Part(sentences, features, logits, evidence)
    stage = form_against_network(learnt, "int8-static", chosen, keep_inputs=keep)
    assert stage["what"] == "int8-static against fp32"
    assert stage["agreement"] in (1.0, round(1 - 1 / len(sentences), 6))
    assert stage["worst"][0]["input"] == (sentences[7]["text"] if keep else "row 7")
    assert stage["worst"][0]["max_abs_diff"] == stage["max_abs_diff"] > 0
    assert len(stage["worst"]) == 5
    assert all(entry["max_abs_diff"] == 0.0 for entry in stage["worst"][1:])
