"""The normal form of texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.encoders.normal import Normal, words

NORMAL = Normal()
nasty = st.text(
    st.one_of(
        st.sampled_from(
            "&amp;#38;lt x20\u200b\u200c\u200d\ufeff\u00ad\u3000Ａ１！，é\u0301👩❤\ufe0f\n\t\x00\x85"
        ),
        st.characters(exclude_categories=("Cs",)),
    ),
    max_size=40,
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("plain text, as it is.", "plain text, as it is."),
        ("  two\t spaces \n and lines ", "two spaces and lines"),
        ("ＡＢＣ１２３％　全角", "ABC123% 全角"),
        ("你好，世界！（真的）：是；吗？", "你好，世界！（真的）：是；吗？"),
        ("zero\u200bwidth\ufeff and so\u00adft", "zerowidth and soft"),
        ("bell\x07 and nul\x00", "bell and nul"),
        ("R&amp;D &lt;b&gt; &#39;x&#39; &nbsp;y", "R&D <b> 'x' y"),
        ("&amp;amp;amp;lt;", "<"),
        ("AT&T at a?x=1&copy=2", "AT&T at a?x=1&copy=2"),
        ("cafe\u0301", "café"),
        ("👩‍👩‍👧 and ❤️‍🔥", "👩‍👩‍👧 and ❤️‍🔥"),
        ("lat\u200din", "latin"),
        ("می‌خواهم", "می‌خواهم"),
        ("\u200b\ufeff", ""),
    ],
)
def test_texts_that_look_equal_become_equal(before: str, after: str) -> None:
    assert NORMAL.text(before) == after


def test_options_turn_steps_off_and_on() -> None:
    assert Normal(punctuation=True).text("好！") == "好!"
    assert Normal(width=False).text("ＡＢ") == "ＡＢ"
    assert Normal(entities=False).text("&amp;") == "&amp;"
    assert Normal(lines=False).text("a \r\n\r\n b  c") == "a\nb c"


@given(nasty, st.booleans(), st.booleans(), st.booleans())
def test_the_normal_form_is_its_own_normal_form(
    text: str, punctuation: bool, lines: bool, entities: bool
) -> None:
    normal = Normal(punctuation=punctuation, lines=lines, entities=entities)
    once = normal.text(text)
    assert normal.text(once) == once
    assert once == once.strip()


@given(st.lists(st.tuples(nasty, st.text(" \u3000\t\u200b.，", max_size=3)), max_size=8))
def test_marked_words_stay_as_many_and_can_be_found(parts: list[tuple[str, str]]) -> None:
    text, starts, ends = "", [], []
    for word, gap in parts:
        text += gap
        if word:
            starts.append(len(text))
            text += word
            ends.append(len(text))
    after, new_starts, new_ends = words(NORMAL, text, starts, ends)
    for start, end, new_start, new_end in zip(starts, ends, new_starts, new_ends, strict=True):
        word = text[start:end]
        assert after[new_start:new_end] == (NORMAL.text(word) or word)
    assert words(NORMAL, after, new_starts, new_ends)[0] == after


def test_an_adversarial_chain_of_entities_takes_no_time() -> None:
    assert NORMAL.text("&" + "amp;" * 200_000) == "&"
