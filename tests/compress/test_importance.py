"""Importance is the mean square of each row's own gradient, whatever the batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from modelwright.compress import importance as module
from modelwright.compress.gates import family_of, gated
from modelwright.compress.importance import importance
from modelwright.models.checkpoint import TrainedModel
from modelwright.tasks import LossSettings


def by_hand(model: TrainedModel, rows: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """One backward pass a row with one gate for each head and neuron."""
    blocks = family_of(model.network.backbone).blocks(model.network.backbone)
    heads, neurons = np.zeros((2, 4)), np.zeros((2, 512))
    for row in rows:
        feature = model.task.encode([row["text"]], model.encoder)
        inputs = {key: torch.from_numpy(array) for key, array in model.collate(feature).items()}
        some = [torch.ones(block.heads, requires_grad=True) for block in blocks]
        others = [torch.ones(block.neurons, requires_grad=True) for block in blocks]
        with gated(model.network, some, others):
            logits = model.network(**inputs)
        target = torch.tensor([model.task.target(row, feature[0])])
        found = torch.autograd.grad(
            model.task.loss(logits, target, LossSettings()), [*some, *others]
        )
        heads += np.stack([g.numpy() ** 2 for g in found[:2]])
        neurons += np.stack([g.numpy() ** 2 for g in found[2:]])
    return heads / 2 / len(rows), neurons / 2 / len(rows)


@pytest.mark.parametrize("tokens", [16, 4096])
def test_scores_are_those_of_one_row_at_a_time(
    learnt: TrainedModel,
    sentences: list[dict[str, Any]],
    tokens: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "TOKENS", tokens)
    found = importance(learnt, sentences[::3], seed=0)
    heads, neurons = by_hand(learnt, sentences[::3])
    np.testing.assert_allclose(found.heads, heads, rtol=1e-3, atol=1e-12)
    np.testing.assert_allclose(np.stack(found.neurons), neurons, rtol=1e-3, atol=1e-12)


def test_the_network_is_left_without_gates_and_gradients(
    learnt: TrainedModel, sentences: list[dict[str, Any]]
) -> None:
    features = learnt.task.encode([row["text"] for row in sentences], learnt.encoder)
    before = learnt.logits(features)
    importance(learnt, sentences, seed=0)
    assert all(map(np.array_equal, before, learnt.logits(features)))
    assert all(weight.grad is None for weight in learnt.network.parameters())


def test_what_is_closed_has_no_score_and_changes_the_others(
    learnt: TrainedModel, sentences: list[dict[str, Any]]
) -> None:
    kept = [[0, 2], [1, 2, 3]], [list(range(100)), list(range(50, 512))]
    whole = importance(learnt, sentences, seed=0)
    found = importance(learnt, sentences, 0, kept)
    assert np.flatnonzero(found.heads[0]).tolist() == kept[0][0]
    assert found.neurons[1][:50].sum() == 0.0
    assert not np.allclose(found.neurons[0][:100], whole.neurons[0][:100], rtol=1e-2)


def test_only_some_layers_are_looked_at(
    learnt: TrainedModel, sentences: list[dict[str, Any]]
) -> None:
    whole = importance(learnt, sentences, seed=0)
    part = whole.only([1])
    assert np.array_equal(part.heads[0], whole.heads[1])
    assert len(part.neurons) == 1
