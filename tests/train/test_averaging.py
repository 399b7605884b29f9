"""The average of the weights that is evaluated and kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from modelwright.train.averaging import EVERY, WeightAverage


def network() -> nn.Sequential:
    made = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    for weight in made.parameters():
        nn.init.zeros_(weight)
    return made


def fill(module: nn.Module, value: float) -> None:
    with torch.no_grad():
        for weight in module.parameters():
            weight.fill_(value)


def value(module: nn.Sequential) -> float:
    return float(module[0].weight.detach()[0, 0])


def test_it_lies_between_old_and_new_weights_and_reaches_new_ones_that_stay():
    net = network()
    average = WeightAverage(net, horizon=20)
    fill(net, 1.0)
    seen = []
    for step in range(1, 400):
        average.update(step)
        with average.applied():
            seen.append(value(net))
    assert seen == sorted(seen)
    assert 0 < seen[EVERY] < 1
    assert seen[-1] == pytest.approx(1.0, abs=1e-4)
    assert value(net) == 1.0


def test_the_network_gets_its_own_weights_back_when_the_block_fails():
    net = network()
    average = WeightAverage(net, horizon=20)
    fill(net, 3.0)
    with pytest.raises(ZeroDivisionError), average.applied():
        1 / value(net)
    assert value(net) == 3.0


def test_frozen_weights_are_left_alone_and_running_statistics_are_averaged():
    net = network()
    net[0].weight.requires_grad_(False)
    average = WeightAverage(net, horizon=1000)
    fill(net, 5.0)
    net[1].running_mean.fill_(7.0)
    with average.applied():
        assert value(net) == 5.0
        assert float(net[0].bias.detach()[0]) == 0.0
        assert float(net[1].running_mean[0]) == 0.0


def test_a_saved_average_goes_on_bit_for_bit(tmp_path: Path):
    def steps(average: WeightAverage, net: nn.Module, numbers: range) -> None:
        for step in numbers:
            fill(net, 0.1 * step)
            average.update(step)

    whole = network()
    through = WeightAverage(whole, horizon=50)
    steps(through, whole, range(1, 41))
    first = network()
    cut = WeightAverage(first, horizon=50)
    steps(cut, first, range(1, 19))
    cut.save(tmp_path / "average.safetensors")
    second = network()
    fill(second, 9.0)
    resumed = WeightAverage(second, horizon=50)
    resumed.load(tmp_path / "average.safetensors")
    steps(resumed, second, range(19, 41))
    pairs = list(zip(whole.parameters(), second.parameters(), strict=True))
    with through.applied(), resumed.applied():
        assert all(torch.equal(a, b) for a, b in pairs)
