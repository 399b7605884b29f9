"""Words of a text, joined and cut, with tags to and from entities."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.tasks import RowProblem
from modelwright.tasks._words import check_entities, cut, cut_at, entities_of, join, tags_of


def said(text: str) -> list[str]:
    return [text[start:end] for start, end in cut(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ada met Bob.", ["Ada", "met", "Bob", "."]),
        ("don't l’été", ["don't", "l’été"]),
        ("银行卡3张", ["银", "行", "卡", "3", "张"]),
        ("snake_case a-b", ["snake", "_", "case", "a", "-", "b"]),
        ("line\r\nline", ["line", "line"]),
        ("cafe\u0301s Zoe\u0308", ["cafe\u0301s", "Zoe\u0308"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("می‌خواهم", ["می‌خواهم"]),
        ("Lon\u00addon", ["Lon\u00addon"]),
        ("ok 👩‍💻! ❤️", ["ok", "👩‍💻", "!", "❤️"]),
        ("ＡＢＣ　１２３", ["ＡＢＣ", "１２３"]),
        ("", []),
        (" \t\n", []),
    ],
)
def test_a_text_is_cut_into_words_as_people_see_them(text: str, words: list[str]) -> None:
    assert said(text) == words


@given(st.text(max_size=80))
def test_words_cover_every_visible_character_once_in_order(text: str) -> None:
    spans = cut(text)
    assert all(start < end for start, end in spans)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    covered = {place for start, end in spans for place in range(start, end)}
    assert covered == {place for place, letter in enumerate(text) if not letter.isspace()}


TOKENS = st.lists(st.text(min_size=1, max_size=8).filter(lambda t: bool(t.strip())), max_size=12)


@given(TOKENS)
def test_joined_tokens_are_found_again_at_their_spans(tokens: list[str]) -> None:
    text, spans = join(tokens)
    assert [text[start:end] for start, end in spans] == tokens


def test_chinese_tokens_are_joined_without_spaces() -> None:
    assert join(["银", "行", "卡", "lost", "了"])[0] == "银行卡lost了"
    assert join(["Ada", "met", "Bob"])[0] == "Ada met Bob"


@st.composite
def annotated(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    text = draw(st.text(alphabet="ab 银。é\u0301\n-3", min_size=1, max_size=40))
    spans, place = [], 0
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(place, len(text)))
        end = draw(st.integers(start, min(len(text), start + 6)))
        if text[start:end].strip():
            spans.append({"start": start, "end": end, "label": draw(st.sampled_from("XY"))})
            place = end
    return text, spans


@given(annotated())
def test_spans_become_tags_and_the_same_spans_again_up_to_white_space(
    case: tuple[str, list[dict[str, Any]]],
) -> None:
    text, spans = case
    entities = check_entities(text, spans)
    words = cut_at(text, entities)
    found = [
        (text[s:e], label, s, e)
        for s, e, label, _, _ in entities_of(words, tags_of(words, entities))
    ]
    wanted = []
    for start, end, label in entities:
        inner = text[start:end]
        start += len(inner) - len(inner.lstrip())
        wanted.append((inner.strip(), label, start, start + len(inner.strip())))
    assert found == wanted


def test_a_word_is_cut_where_an_entity_ends_inside_it() -> None:
    assert cut_at("pre-Londoners", [(4, 10, "LOC")]) == [(0, 3), (3, 4), (4, 10), (10, 13)]


@pytest.mark.parametrize(
    ("spans", "reason"),
    [
        ("Paris", "wrong-type"),
        ([["Paris"]], "wrong-type"),
        ([{"start": 0, "label": "X"}], "wrong-type"),
        ([{"start": "0", "end": 3, "label": "X"}], "wrong-type"),
        ([{"start": 0, "end": 3}], "wrong-type"),
        ([{"start": 3, "end": 3, "label": "X"}], "span-outside-text"),
        ([{"start": -1, "end": 3, "label": "X"}], "span-outside-text"),
        ([{"start": 0, "end": 99, "label": "X"}], "span-outside-text"),
        ([{"start": 3, "end": 4, "label": "X"}], "empty-span"),
        (
            [{"start": 4, "end": 7, "label": "X"}, {"start": 0, "end": 5, "label": "Y"}],
            "overlapping-spans",
        ),
    ],
)  # fmt: skip
def test_spans_that_mean_nothing_are_refused_with_the_reason(spans: object, reason: str) -> None:
    with pytest.raises(RowProblem) as caught:
        check_entities("Ada met Bob", spans)
    assert caught.value.reason == reason


def test_other_names_of_the_label_key_are_understood() -> None:
    spans = [{"start": 0, "end": 3, "type": "PER"}, {"start": 8, "end": 11, "entity": "PER"}]
    assert check_entities("Ada met Bob", spans) == [(0, 3, "PER"), (8, 11, "PER")]
