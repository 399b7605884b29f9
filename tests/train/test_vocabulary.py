"""Training the small embedding table is training the whole one."""

from __future__ import annotations

import numpy as np
import torch
from transformers import BertConfig

from modelwright.models.families.bert import Bert
from modelwright.train.vocabulary import CompactVocabulary


def _backbone() -> torch.nn.Module:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=300,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=0,
    )
    return Bert.build(config)


def _train(backbone: torch.nn.Module, ids: torch.Tensor) -> None:
    embeddings = backbone.get_input_embeddings().weight
    others = [w for w in backbone.parameters() if w is not embeddings]
    optimizer = torch.optim.AdamW(
        [{"params": others, "weight_decay": 0.1}, {"params": [embeddings], "weight_decay": 0.0}],
        lr=1e-3,
    )
    for _ in range(5):
        hidden = backbone(input_ids=ids).last_hidden_state
        (hidden**2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def test_the_weights_after_training_are_those_of_training_the_whole_table():
    ids = torch.tensor([[5, 9, 200, 17], [9, 9, 44, 5]])
    whole, small = _backbone(), _backbone()
    _train(whole, ids)

    compact = CompactVocabulary(small, np.unique(ids.numpy()))
    compact.shrink()
    assert small.get_input_embeddings().num_embeddings == 5
    _train(small, torch.from_numpy(compact.table[ids.numpy()].astype(np.int64)))
    compact.expand()

    for name, weight in whole.state_dict().items():
        assert torch.allclose(weight, small.state_dict()[name], atol=1e-6), name
    untouched = [i for i in range(300) if i not in set(ids.flatten().tolist())]
    original = _backbone().get_input_embeddings().weight
    assert torch.equal(small.get_input_embeddings().weight[untouched], original[untouched])
