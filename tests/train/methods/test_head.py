"""Head only."""

from __future__ import annotations

import torch
from transformers import BertConfig

from modelwright.models.families.bert import Bert
from modelwright.models.network import Network, NetworkSettings
from modelwright.train.methods.head import Config, Head


def test_the_backbone_stays_as_it_is_and_without_dropout():
    config = BertConfig(
        vocab_size=30,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
    )
    network = Network(Bert.build(config), NetworkSettings("text", "sequence", 2))
    before = {name: value.clone() for name, value in network.backbone.state_dict().items()}
    Head(Config()).prepare(network)
    network.train()
    assert not network.backbone.training
    assert network.head.training
    optimizer = torch.optim.SGD([w for w in network.parameters() if w.requires_grad], lr=0.1)
    network(input_ids=torch.tensor([[1, 2]]), attention_mask=torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert all(torch.equal(before[n], v) for n, v in network.backbone.state_dict().items())
