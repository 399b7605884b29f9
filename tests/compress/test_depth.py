"""Layers to keep: those without which the answers move least stay out first."""

from __future__ import annotations

import copy
from typing import Any

import torch

from modelwright.compress.depth import kept_layers
from modelwright.compress.gates import family_of
from modelwright.models.checkpoint import TrainedModel


def with_idle_layers(model: TrainedModel, places: tuple[int, ...]) -> TrainedModel:
    """The same network with layers put in that do nearly nothing."""
    network = copy.deepcopy(model.network)
    layers = family_of(network.backbone).layers(network.backbone)
    every = list(layers)
    idle = copy.deepcopy(every[0])
    with torch.no_grad():
        for block in (idle.attention.output.dense, idle.output.dense):
            block.weight.zero_()
            block.bias.zero_()
    for place in places:
        every.insert(place, copy.deepcopy(idle))
    del layers[:]
    layers.extend(every)
    network.backbone.config.num_hidden_layers = len(every)  # type: ignore[union-attr]
    return TrainedModel(model.task, model.encoder, network)


def test_layers_that_do_nothing_go_first(
    learnt: TrainedModel, sentences: list[dict[str, Any]]
) -> None:
    model = with_idle_layers(learnt, (1, 3))
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    found = kept_layers(model, sentences, seed=0)
    assert [len(each) for each in found] == [1, 2, 3, 4]
    assert found[1] == (0, 2)
    assert found[3] == (0, 1, 2, 3)
    assert all(torch.equal(v, before[n]) for n, v in model.network.state_dict().items())
