"""Gates close heads and neurons for as long as they are wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from modelwright.compress.gates import family_of, gated, masks
from modelwright.errors import UserError
from modelwright.models.checkpoint import TrainedModel


def answers(model: TrainedModel, rows: list[dict[str, Any]]) -> np.ndarray:
    features = model.task.encode([row["text"] for row in rows], model.encoder)
    return np.stack(model.logits(features))


def test_open_gates_change_nothing_and_closed_ones_do(
    learnt: TrainedModel, sentences: list[dict[str, Any]]
) -> None:
    before = answers(learnt, sentences)
    with gated(learnt.network, masks([range(4)] * 2, [4, 4]), masks([range(512)] * 2, [512, 512])):
        assert np.array_equal(answers(learnt, sentences), before)
    with gated(learnt.network, masks([[0], range(4)], [4, 4]), masks([range(512)] * 2, [512] * 2)):
        assert np.abs(answers(learnt, sentences) - before).max() > 1e-3
    assert np.array_equal(answers(learnt, sentences), before)


def test_each_row_may_have_gates_of_its_own(
    learnt: TrainedModel, sentences: list[dict[str, Any]]
) -> None:
    features = learnt.task.encode([row["text"] for row in sentences[:2]], learnt.encoder)
    inputs = {key: torch.from_numpy(array) for key, array in learnt.collate(features).items()}
    heads = [torch.tensor([[1.0, 1, 1, 1], [0, 0, 1, 1]]), torch.ones(2, 4)]
    with torch.inference_mode():
        before = learnt.network(**inputs)
        with gated(learnt.network, heads, [torch.ones(512)] * 2):
            after = learnt.network(**inputs)
    assert torch.equal(before[0], after[0])
    assert not torch.allclose(before[1], after[1], atol=1e-4)


def test_gates_are_gone_after_an_error(
    learnt: TrainedModel, sentences: list[dict[str, Any]]
) -> None:
    before = answers(learnt, sentences)
    with (
        pytest.raises(KeyError),
        gated(learnt.network, [torch.zeros(4)] * 2, [torch.zeros(512)] * 2),
    ):
        raise KeyError
    assert np.array_equal(answers(learnt, sentences), before)


def test_a_backbone_without_a_family_has_no_gates() -> None:
    from transformers import BertConfig

    config = BertConfig()
    config.model_type = "unheard-of"
    with pytest.raises(UserError, match="MW-105"):
        family_of(type("Backbone", (), {"config": config})())
