"""RoBERTa beyond what every family is held to."""

from __future__ import annotations

import torch

from modelwright import plugs

CLS = plugs.load("family", "roberta").cls


def test_positions_are_counted_from_behind_the_paddings_id() -> None:
    backbone = CLS.build(CLS.config("roberta-tiny", vocab_size=50, pad_token_id=1)).eval()
    assert CLS.first_position(backbone) == 2
    ids = torch.arange(3, 13)[None]
    with torch.inference_mode():
        before = backbone(input_ids=ids).last_hidden_state
        CLS.keep_positions(backbone, 10)
        assert backbone.embeddings.position_embeddings.weight.shape[0] == 12
        assert torch.equal(backbone(input_ids=ids).last_hidden_state, before)


def test_the_paddings_id_stays_when_words_before_it_go() -> None:
    backbone = CLS.build(CLS.config("roberta-tiny", vocab_size=50, pad_token_id=1))
    CLS.keep_ids(backbone, [0, 1, 2, 30, 40])
    assert backbone.config.pad_token_id == 1
    assert backbone.embeddings.word_embeddings.padding_idx == 1
    assert backbone.config.vocab_size == 5
