"""The quick dropout does what dropout does: rate, scale, seed, gradient, nothing in evaluation."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from modelwright.models.dropout import PackedDropout, pack_dropout


def dropped(p: float, size: int = 400_000) -> torch.Tensor:
    torch.manual_seed(0)
    return PackedDropout(p).train()(torch.ones(size))


@pytest.mark.parametrize("p", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9])
def test_the_share_of_zeros_is_the_rate(p: float) -> None:
    assert float((dropped(p) == 0).float().mean()) == pytest.approx(p, abs=0.004)


@pytest.mark.parametrize("lane", range(4))
def test_every_place_of_a_draw_is_dropped_at_the_same_rate(lane: int) -> None:
    assert float((dropped(0.3)[lane::4] == 0).float().mean()) == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_what_is_kept_is_scaled_so_that_the_mean_stays(p: float) -> None:
    found = dropped(p)
    kept = found[found != 0]
    assert torch.allclose(kept, torch.tensor(1 / (1 - p)), atol=1e-3)
    assert float(found.mean()) == pytest.approx(1.0, abs=0.02)


def test_neighbours_are_dropped_independently() -> None:
    zero = (dropped(0.5) == 0).float()
    for distance in (1, 2, 3, 4):
        together = float((zero[:-distance] * zero[distance:]).mean())
        assert together == pytest.approx(0.25, abs=0.005)


def test_the_seed_of_torch_decides_the_draw() -> None:
    module, x = PackedDropout(0.4).train(), torch.ones(7, 11)
    torch.manual_seed(3)
    first, second = module(x), module(x)
    torch.manual_seed(3)
    assert torch.equal(module(x), first)
    assert torch.equal(module(x), second)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3,), (4,), (5, 7), (2, 3, 5)])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_shape_and_type_stay(shape: tuple[int, ...], kind: torch.dtype) -> None:
    found = PackedDropout(0.5).train()(torch.ones(shape, dtype=kind))
    assert found.shape == shape
    assert found.dtype == kind


def test_views_that_do_not_lie_in_order_are_read_rightly() -> None:
    x = torch.arange(1.0, 13).reshape(3, 4).T
    found = PackedDropout(0.5).train()(x)
    assert torch.equal(found[found != 0], (2 * x)[found != 0])


def test_nothing_changes_in_evaluation_or_at_rate_zero() -> None:
    x = torch.ones(100)
    assert PackedDropout(0.5).eval()(x) is x
    assert PackedDropout(0.0).train()(x) is x


def test_gradient_flows_only_where_values_were_kept() -> None:
    x = torch.ones(1000, requires_grad=True)
    found = PackedDropout(0.25).train()(x)
    found.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, found.detach())


def test_every_dropout_of_a_network_is_replaced_with_its_own_rate() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.2), nn.Sequential(nn.Dropout(0.3)))
    before = set(network.state_dict())
    pack_dropout(network)
    rates = [m.p for m in network.modules() if isinstance(m, PackedDropout)]
    assert rates == [0.2, 0.3]
    assert not any(isinstance(m, nn.Dropout) for m in network.modules())
    assert set(network.state_dict()) == before
