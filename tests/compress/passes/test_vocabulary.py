"""The vocabulary pass beyond what every pass is held to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modelwright import plugs
from modelwright.compress.passes import Material, Piece
from modelwright.models.bases import resolve
from modelwright.models.checkpoint import TrainedModel
from modelwright.models.preparing import Shape, prepare
from modelwright.tasks import TaskSpec

PLUG = plugs.load("pass", "vocabulary")
Rows = list[dict[str, Any]]


def cut(model: TrainedModel, material: Material, common: int = 0, **options: Any) -> Piece:
    return PLUG.cls(PLUG.config(**options)).apply(Piece(model), {"common": common}, material)


@pytest.fixture
def material(learnt: TrainedModel, sentences: Rows, tmp_path: Path) -> Material:
    return Material(learnt, sentences[:6], tmp_path, 0, settings=None)  # type: ignore[arg-type]


def test_pieces_of_inputs_without_labels_are_kept(
    learnt: TrainedModel, material: Material, sentences: Rows
) -> None:
    without = cut(learnt, material)
    more = replace(material, unlabelled=[row["text"] for row in sentences], tuning=sentences)
    assert cut(learnt, more).facts["kept"] > without.facts["kept"]
    assert cut(learnt, more).facts["coverage"] == 1.0


def test_positions_are_cut_to_the_longest_input_or_left(
    learnt: TrainedModel, material: Material
) -> None:
    def positions(piece: Piece) -> tuple[int, int]:
        backbone: Any = piece.model.network.backbone
        table = backbone.embeddings.position_embeddings.weight
        return len(table), backbone.config.max_position_embeddings

    assert positions(cut(learnt, material)) == (32, 32)
    assert positions(cut(learnt, material, positions=False)) == (512, 512)
    longest = "refund " * 100
    model = cut(learnt, material).model
    assert len(model.task.encode([longest], model.encoder)[0]["input_ids"]) == 32
    assert model.predict([longest])[0]["label"] == learnt.predict([longest])[0]["label"]


def test_padding_keeps_its_meaning(
    learnt: TrainedModel, material: Material, sentences: Rows
) -> None:
    model = cut(learnt, material).model
    table = model.network.backbone.embeddings.word_embeddings  # type: ignore[union-attr]
    assert model.encoder.settings.pad_id == table.padding_idx  # type: ignore[union-attr]
    texts = [sentences[0]["text"], sentences[1]["text"] + " again and again"]
    features = model.task.encode(texts, model.encoder)
    alone = model.logits(features[:1])[0]
    np.testing.assert_allclose(model.logits(features)[0], alone, atol=1e-5)


def test_entities_are_found_at_the_same_characters(tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = plugs.load("task", "token-classification").cls(TaskSpec(labels=("O", "B-X", "I-X")))
    texts = ["Ada Lovelace moved from London to Paris", "a long walk in Paris with Ada"]
    model = prepare(resolve("scratch:tiny", "text", Path()), task, Shape(vocabulary=120), texts)
    rows = [{"text": text, **_words(text)} for text in texts]
    material = Material(model, rows, tmp_path, 0, settings=None)  # type: ignore[arg-type]
    made = cut(model, material).model
    assert made.encoder.settings.casing  # type: ignore[union-attr]
    assert made.predict([task.example(row) for row in rows]) == model.predict(
        [task.example(row) for row in rows]
    )


def _words(text: str) -> dict[str, Any]:
    starts = [0, *(place + 1 for place, letter in enumerate(text) if letter == " ")]
    ends = [start + len(text[start:].split(maxsplit=1)[0]) for start in starts]
    return {"starts": starts, "ends": ends, "tags": ["O"] * len(starts)}


def test_a_tokenizer_without_smaller_pieces_is_left_alone(
    learnt: TrainedModel,
) -> None:
    from tokenizers import Tokenizer, models

    from modelwright.encoders.text import TextEncoder

    words: Any = Tokenizer(models.WordLevel({"[UNK]": 0, "card": 1}, unk_token="[UNK]"))
    encoder = TextEncoder(words, learnt.encoder.settings)  # type: ignore[arg-type]
    model = TrainedModel(learnt.task, encoder, learnt.network)
    assert "WordLevel" in PLUG.cls(PLUG.config()).misfit(model)
