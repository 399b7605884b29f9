"""XLM-RoBERTa beyond what every family is held to."""

from __future__ import annotations

from transformers import XLMRobertaModel

from modelwright import plugs

CLS = plugs.load("family", "xlm-roberta").cls


def test_the_backbone_has_no_pooler_and_one_token_type() -> None:
    backbone = CLS.build(CLS.config("xlm-roberta-tiny", vocab_size=50))
    assert isinstance(backbone, XLMRobertaModel)
    assert backbone.pooler is None
    assert backbone.config.type_vocab_size == 1
