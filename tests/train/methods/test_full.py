"""Full fine-tuning."""

from __future__ import annotations

import torch

from modelwright.train.methods.full import Config, Full


def test_every_weight_moves():
    network = torch.nn.Linear(2, 2)
    network.weight.requires_grad_(False)
    Full(Config()).prepare(network)
    assert all(weight.requires_grad for weight in network.parameters())
