"""Backbone and head as one module: shapes, modes, and a frozen backbone that stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from modelwright.models.dropout import PackedDropout
from modelwright.models.network import (
    Network,
    NetworkSettings,
    backbone_class,
    build_backbone,
    total,
    trainable,
)
from modelwright.models.preparing import load_backbone

IDS = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
MASK = (IDS > 0).long()


def network(folder: Path, head: str = "sequence", dropout: float = 0.5) -> Network:
    settings = NetworkSettings("text", head, 3, "mean", dropout, ("input_ids", "attention_mask"))  # type: ignore[arg-type]
    return Network(load_backbone(folder, None), settings)


@pytest.mark.parametrize(("head", "shape"), [("sequence", (2, 3)), ("token", (2, 4, 3))])
def test_a_head_gives_one_answer_an_input_or_one_a_token(
    bert_folder: Path, head: str, shape: tuple[int, ...]
) -> None:
    logits = network(bert_folder, head)(input_ids=IDS, attention_mask=MASK)
    assert logits.shape == shape


def test_a_new_head_knows_nothing_and_answers_near_zero(bert_folder: Path) -> None:
    made = network(bert_folder).eval()
    assert torch.equal(made.head.bias, torch.zeros(3))
    assert float(made(input_ids=IDS, attention_mask=MASK).detach().abs().max()) < 1.0


def test_training_draws_dropout_and_evaluation_does_not(bert_folder: Path) -> None:
    made = network(bert_folder)
    inputs = {"input_ids": IDS, "attention_mask": MASK}
    with torch.inference_mode():
        made.train()
        assert not torch.equal(made(**inputs), made(**inputs))
        made.eval()
        assert torch.equal(made(**inputs), made(**inputs))


def test_every_dropout_is_the_quick_one(bert_folder: Path) -> None:
    kinds = {type(module) for module in network(bert_folder).modules()}
    assert PackedDropout in kinds
    assert torch.nn.Dropout not in kinds


def test_a_frozen_backbone_stays_in_evaluation_mode_until_it_is_let_go(bert_folder: Path) -> None:
    made = network(bert_folder)
    made.freeze_backbone()
    made.train()
    assert made.training
    assert made.dropout.training
    assert not made.backbone.training
    made.unfreeze_backbone()
    assert made.train().backbone.training


def test_weights_are_counted(bert_folder: Path) -> None:
    made = network(bert_folder)
    assert total(made) == trainable(made) > 0
    for weight in made.backbone.parameters():
        weight.requires_grad_(False)
    assert trainable(made) == 3 * 32 + 3


def test_families_without_a_file_are_built_without_their_pooler() -> None:
    from transformers import RobertaConfig, RobertaModel

    config = RobertaConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        vocab_size=20,
    )
    assert backbone_class(config) is RobertaModel
    backbone = build_backbone(config)
    assert backbone.pooler is None
    assert all(weight.device.type == "cpu" for weight in backbone.parameters())
