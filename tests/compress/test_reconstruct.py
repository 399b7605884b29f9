"""Output weights refitted after a cut: what they win, and what they leave alone."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from modelwright.compress.gates import family_of
from modelwright.compress.reconstruct import refit
from modelwright.models.checkpoint import TrainedModel


def cut(model: TrainedModel, kept: list[list[int]]) -> TrainedModel:
    network = copy.deepcopy(model.network)
    for layer, neurons in enumerate(kept):
        family_of(network.backbone).keep_neurons(network.backbone, layer, neurons)
    return TrainedModel(model.task, model.encoder, network)


def apart(model: TrainedModel, whole: TrainedModel, rows: list[dict[str, Any]]) -> float:
    features = model.task.encode([row["text"] for row in rows], model.encoder)
    return float(np.abs(np.stack(model.logits(features)) - np.stack(whole.logits(features))).mean())


def test_a_refitted_network_answers_more_like_the_whole_one(
    learnt: TrainedModel, sentences: list[dict[str, Any]]
) -> None:
    kept = [list(range(0, 512, 8)), list(range(3, 512, 8))]
    plain, refitted = cut(learnt, kept), cut(learnt, kept)
    refit(refitted, learnt, sentences, lambda block: block.down, seed=0)
    assert apart(refitted, learnt, sentences) < 0.5 * apart(plain, learnt, sentences)


def test_layers_that_were_not_cut_keep_their_weights(
    learnt: TrainedModel, sentences: list[dict[str, Any]]
) -> None:
    made = cut(learnt, [list(range(512)), list(range(100))])
    before = {name: value.clone() for name, value in made.network.state_dict().items()}
    refit(made, learnt, sentences, lambda block: block.down, seed=0)
    changed = [n for n, v in made.network.state_dict().items() if not torch.equal(v, before[n])]
    assert changed == [
        "backbone.encoder.layer.1.output.dense.weight",
        "backbone.encoder.layer.1.output.dense.bias",
    ]


def test_neurons_that_did_nothing_are_not_missed(
    learnt: TrainedModel, sentences: list[dict[str, Any]]
) -> None:
    whole = TrainedModel(learnt.task, learnt.encoder, copy.deepcopy(learnt.network))
    for block in family_of(whole.network.backbone).blocks(whole.network.backbone):
        with torch.no_grad():
            block.down.weight[:, 256:] = 0.0
    made = cut(whole, [list(range(256))] * 2)
    refit(made, whole, sentences, lambda block: block.down, seed=0)
    assert apart(made, whole, sentences) < 1e-4
