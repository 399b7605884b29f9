"""BERT beyond what every family is held to."""

from __future__ import annotations

import torch
from transformers import BertModel

from modelwright import plugs

CLS = plugs.load("family", "bert").cls


def test_the_backbone_has_no_pooler_and_the_fast_attention() -> None:
    backbone = CLS.build(CLS.config("tiny", vocab_size=50))
    assert isinstance(backbone, BertModel)
    assert backbone.pooler is None
    assert backbone.config._attn_implementation == "sdpa"


def test_it_reads_up_to_512_tokens() -> None:
    backbone = CLS.build(CLS.config("tiny", vocab_size=50)).eval()
    with torch.inference_mode():
        ids = torch.ones(1, 512, dtype=torch.int64)
        assert backbone(input_ids=ids).last_hidden_state.shape == (1, 512, 128)


def test_grown_types_of_a_pretrained_table_start_as_lower_case() -> None:
    backbone = CLS.build(CLS.config("tiny", vocab_size=50))
    lower = CLS.type_embeddings(backbone).weight[0].detach().clone()
    CLS.grow_types(backbone, 6)
    assert torch.equal(CLS.type_embeddings(backbone).weight[2:], lower.expand(4, -1))
    assert CLS.type_embeddings(backbone).weight.requires_grad
