"""ELECTRA beyond what every family is held to."""

from __future__ import annotations

import torch

from modelwright import plugs

CLS = plugs.load("family", "electra").cls


def test_a_narrow_table_of_words_is_cut_like_any_other() -> None:
    backbone = CLS.build(CLS.config("electra-tiny", vocab_size=50)).eval()
    ids = torch.tensor([[0, 30, 40, 30]])
    with torch.inference_mode():
        before = backbone(input_ids=ids).last_hidden_state
        CLS.keep_ids(backbone, [0, 30, 40])
        after = backbone(input_ids=torch.tensor([[0, 1, 2, 1]])).last_hidden_state
    assert torch.equal(before, after)
    assert CLS.word_embeddings(backbone).weight.shape == (3, 64)
