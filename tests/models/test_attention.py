"""Attention in fp32 inside a bf16 forward pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from modelwright.models.attention import fast_attention
from modelwright.models.families.bert import Bert


@pytest.fixture(scope="module")
def backbone() -> Any:
    torch.manual_seed(0)
    return Bert.build(Bert.config("tiny", vocab_size=50)).eval()


def test_padding_is_still_masked_and_answers_stay_near_those_of_fp32(backbone: Any) -> None:
    ids = torch.randint(1, 50, (3, 9))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    exact = backbone(input_ids=ids, attention_mask=mask).last_hidden_state
    other = ids.clone()
    other[1, 5:] = 7
    with fast_attention(backbone, "bf16"), torch.autocast("cpu", torch.bfloat16):
        found = backbone(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        padded = backbone(input_ids=other, attention_mask=mask).last_hidden_state.float()
    assert torch.allclose(found, exact, atol=0.1)
    assert torch.equal(found[1, :5], padded[1, :5])


def test_only_bf16_changes_it_and_only_for_the_block(backbone: Any) -> None:
    for precision, inside in (("fp32", "sdpa"), ("bf16", "modelwright_fp32")):
        with fast_attention(backbone, precision):
            assert backbone.config._attn_implementation == inside
        assert backbone.config._attn_implementation == "sdpa"
