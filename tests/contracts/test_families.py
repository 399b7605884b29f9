"""What holds for every backbone family: its scratch sizes build, read, train, and come back."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from modelwright import plugs
from modelwright.models.families import Family
from modelwright.models.network import Network, NetworkSettings, build_backbone, hidden_size

SIDE = 16


def family(name: str) -> type[Family]:
    return plugs.load("family", name).cls


def config(name: str) -> Any:
    """Of the smallest scratch size."""
    cls = family(name)
    size = next(iter(cls.sizes))
    if cls.modality == "text":
        return cls.config(size, vocab_size=50, pad_token_id=0)
    return cls.config(size, num_channels=3, **({"image_size": SIDE} if cls.patches else {}))


def batch(name: str) -> dict[str, torch.Tensor]:
    if family(name).modality == "text":
        ids = torch.arange(2, 14).reshape(2, 6)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return {"pixel_values": torch.randn(2, 3, SIDE, SIDE)}


def network(name: str) -> Network:
    torch.manual_seed(0)
    modality = family(name).modality
    settings = NetworkSettings(modality, "sequence", 4, dropout=0.0, inputs=tuple(batch(name)))
    return Network(family(name).build(config(name)), settings)


NAMES = plugs.names("family")


@pytest.mark.parametrize("name", NAMES)
def test_a_family_is_named_for_the_model_type_of_transformers(name: str) -> None:
    assert config(name).model_type == name


@pytest.mark.parametrize("name", NAMES)
def test_every_scratch_size_is_larger_than_the_one_before(name: str) -> None:
    cls = family(name)
    counts = []
    for size in cls.sizes:
        values = {"vocab_size": 50} if cls.modality == "text" else {"num_channels": 1}
        values |= {"image_size": SIDE} if cls.patches else {}
        with torch.device("meta"):
            backbone = cls.build(cls.config(size, **values))
        counts.append(sum(weight.numel() for weight in backbone.parameters()))
    assert counts == sorted(set(counts))


@pytest.mark.parametrize("name", NAMES)
def test_a_network_answers_and_every_weight_of_it_learns(name: str) -> None:
    made = network(name).train()
    logits = made(**batch(name))
    assert logits.shape == (2, 4)
    logits.square().sum().backward()
    still = [n for n, weight in made.named_parameters() if weight.grad is None]
    assert still == []


@pytest.mark.parametrize("name", NAMES)
def test_the_head_fits_the_width_that_the_configuration_tells(name: str) -> None:
    made = network(name).eval()
    with torch.inference_mode():
        assert made.embed(**batch(name)).shape == (2, hidden_size(made.backbone.config))


@pytest.mark.parametrize("name", NAMES)
def test_a_backbone_built_from_its_own_configuration_takes_its_weights(name: str) -> None:
    made = network(name).eval()
    again = build_backbone(type(made.backbone.config)(**made.backbone.config.to_dict()))
    again.load_state_dict(made.backbone.state_dict())
    values = batch(name)
    with torch.inference_mode():
        one = made.backbone(**values).last_hidden_state
        two = again.eval()(**values).last_hidden_state
    assert torch.equal(one, two)


@pytest.mark.parametrize("name", NAMES)
def test_dropout_rates_of_a_configuration_are_set_where_it_has_them(name: str) -> None:
    values = config(name)
    family(name).set_dropout(values, 0.42)
    rates = {n: v for n, v in values.to_dict().items() if "dropout" in n and v is not None}
    assert all(rate == 0.42 for rate in rates.values())


@pytest.mark.parametrize("name", NAMES)
def test_token_types_grow_or_are_not_there(name: str) -> None:
    cls, made = family(name), network(name).eval()
    table = cls.type_embeddings(made.backbone)
    if table is None:
        with pytest.raises(ValueError, match="no token types"):
            cls.grow_types(made.backbone, 6)
        return
    old, values = table.weight.detach().clone(), batch(name)
    with torch.inference_mode():
        before = made(**values)
        cls.grow_types(made.backbone, 6)
        assert torch.equal(made(**values), before)
    grown = cls.type_embeddings(made.backbone)
    assert grown is not None
    assert grown.weight.shape == (6, old.shape[1])
    assert torch.equal(grown.weight[: len(old)], old)
    assert torch.equal(grown.weight[5], old[0])
    assert made.backbone.config.type_vocab_size == 6
    made(**values, token_type_ids=torch.full_like(values["input_ids"], 5))
