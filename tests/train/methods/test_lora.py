"""LoRA."""

from __future__ import annotations

from transformers import BertConfig

from modelwright.models.families.bert import Bert
from modelwright.models.network import Network, NetworkSettings, total, trainable
from modelwright.train.methods.lora import Config, Lora


def test_a_small_share_of_the_weights_is_trained_and_it_grows_with_the_rank():
    shares = []
    for rank in (2, 8):
        config = BertConfig(
            vocab_size=500,
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=128,
        )
        network = Network(Bert.build(config), NetworkSettings("text", "sequence", 2))
        whole = total(network)
        Lora(Config(rank=rank)).prepare(network)
        shares.append(trainable(network) / whole)
    assert shares[0] < shares[1] < 0.2
