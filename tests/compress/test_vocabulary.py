"""A tokenizer with fewer pieces: what it reads as before, and how it reads what is gone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.compress.vocabulary import kept_ids, model_type, old_ids, rewritten, unknown_id

KINDS = ["WordPiece", "BPE", "Unigram"]
LETTERS = st.sampled_from(list("abc eéñ ÇüZ09,.!?'-#[]@ 银行卡丢了怎么办退款🙂👍🏽\u200d\t"))
WORDS = st.sampled_from(
    ["my", "card", "refund", "transferring", "sister's", "café", "怎么办", "250", "unbelievable",
     "##ing", "[UNK]", "<pad>", "🙂", "ﬁancée", "İstanbul"]
)  # fmt: skip
TEXT = st.one_of(
    st.text(LETTERS, max_size=40), st.lists(WORDS, max_size=12).map(" ".join), st.text(max_size=30)
)
SLOW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def small_of(whole: Any, text: str, common: int = 0) -> tuple[Any, list[int]]:
    kept = kept_ids(whole, whole.encode(text).ids, common)
    return rewritten(whole, kept), kept


@pytest.fixture(scope="module")
def pairs(tokenizers: dict[str, Any]) -> dict[str, tuple[Any, Any, list[int]]]:
    found = {}
    for name, whole in tokenizers.items():
        small, kept = small_of(whole, "my card is lost: transferring money to a café 银行卡 🙂")
        found[name] = (whole, small, kept)
    return found


@pytest.mark.parametrize("kind", KINDS)
@SLOW
@given(text=TEXT)
def test_text_whose_pieces_are_all_kept_is_read_as_before(
    pairs: dict[str, Any], kind: str, text: str
) -> None:
    whole, small, kept = pairs[kind]
    before = whole.encode(text)
    if not set(before.ids) - {unknown_id(whole)} <= set(kept) or unknown_id(whole) in before.ids:
        return
    after = small.encode(text)
    assert [kept[number] for number in after.ids] == before.ids
    assert after.offsets == before.offsets
    assert after.tokens == before.tokens


@pytest.mark.parametrize("kind", KINDS)
@SLOW
@given(text=TEXT)
def test_nothing_becomes_unknown_that_was_known(
    pairs: dict[str, Any], kind: str, text: str
) -> None:
    whole, small, _ = pairs[kind]
    if unknown_id(whole) in whole.encode(text).ids:
        return
    after = small.encode(text)
    assert unknown_id(small) not in after.ids or unknown_id(small) is None
    assert len(after.ids) >= len(whole.encode(text).ids)


@pytest.mark.parametrize("kind", KINDS)
@SLOW
@given(text=TEXT, pair=TEXT)
def test_texts_that_were_seen_are_read_as_before_alone_and_in_pairs(
    tokenizers: dict[str, Any], kind: str, text: str, pair: str
) -> None:
    whole = tokenizers[kind]
    kept = kept_ids(whole, whole.encode(text, pair).ids)
    small = rewritten(whole, kept)
    for given_texts in ((text,), (text, pair)):
        before, after = whole.encode(*given_texts), small.encode(*given_texts)
        if unknown_id(whole) in before.ids:
            continue
        assert [kept[number] for number in after.ids] == before.ids
        assert after.type_ids == before.type_ids


@pytest.mark.parametrize("kind", KINDS)
def test_a_word_that_is_gone_is_cut_into_kept_pieces(pairs: dict[str, Any], kind: str) -> None:
    whole, small, kept = pairs[kind]
    back = old_ids(whole, small)
    before, after = whole.encode("refund declined"), small.encode("refund declined")
    assert not set(before.ids) <= set(kept)
    assert len(after.ids) > len(before.ids)
    assert all(back[number] in kept for number in after.ids)


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_those_of_the_list_and_the_tokenizer_gets_smaller(
    pairs: dict[str, Any], kind: str
) -> None:
    whole, small, kept = pairs[kind]
    assert old_ids(whole, small) == kept
    assert small.get_vocab_size() == len(kept) < whole.get_vocab_size()
    assert len(small.to_str()) < len(whole.to_str())
    assert model_type(small) == kind


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_stay_special(pairs: dict[str, Any], kind: str) -> None:
    whole, small, kept = pairs[kind]
    before, after = whole.get_added_tokens_decoder(), small.get_added_tokens_decoder()
    assert {kept[number]: str(token) for number, token in after.items()} == {
        number: str(token) for number, token in before.items()
    }
    assert small.encode("card").special_tokens_mask == whole.encode("card").special_tokens_mask


@pytest.mark.parametrize("kind", KINDS)
def test_common_pieces_are_the_first_of_the_base(tokenizers: dict[str, Any], kind: str) -> None:
    whole = tokenizers[kind]
    none, some = kept_ids(whole, []), kept_ids(whole, [], common=10)
    assert len(some) >= len(none) + 10
    assert set(none) < set(some)
    assert not any("[unused" in whole.id_to_token(number) for number in some)
    if kind == "WordPiece":
        some = kept_ids(whole, [], common=200)
        assert {"the", "of", "and"} <= {whole.id_to_token(number) for number in some}


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_cut_keeps_the_first_ones_promises(tokenizers: dict[str, Any], kind: str) -> None:
    whole, text = tokenizers[kind], "my card is lost"
    first, kept = small_of(whole, text, common=30)
    second, again = small_of(first, text)
    assert len(again) < len(kept)
    assert second.encode(text).tokens == whole.encode(text).tokens


def test_every_merge_on_the_way_to_a_kept_piece_is_kept(tokenizers: dict[str, Any]) -> None:
    whole = tokenizers["BPE"]
    number = whole.token_to_id("Ġtransfer")
    small = rewritten(whole, kept_ids(whole, [number]))
    assert small.encode(" transfer", add_special_tokens=False).tokens == ["Ġtransfer"]
    merges = json.loads(small.to_str())["model"]["merges"]
    assert 0 < len(merges) < 20


def test_letters_that_have_no_piece_of_their_own_keep_the_pieces_they_are_in() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    names = ["[UNK]", "a", "b", "##a", "##b", "aé", "ba", "##bé", "aab"]
    vocabulary = {name: number for number, name in enumerate(names)}
    whole: Any = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    whole.pre_tokenizer = pre_tokenizers.Whitespace()
    small = rewritten(whole, kept_ids(whole, []))
    assert small.encode("aé bbé aab").tokens == ["aé", "b", "##bé", "a", "##a", "##b"]


def test_of_bert_only_signs_and_characters_that_can_continue_a_word_stay(
    tokenizers: dict[str, Any],
) -> None:
    whole = tokenizers["WordPiece"]
    pieces = {whole.id_to_token(number) for number in kept_ids(whole, [])}
    assert {"中", "!", "a", "##a"} <= pieces
    assert "##!" in whole.get_vocab()
    assert "##!" not in pieces
    assert "##中" in whole.get_vocab()
    assert "##中" not in pieces
