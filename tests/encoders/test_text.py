"""Text to tokens and back to characters, by real tokenizers of three kinds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.encoders import open_encoder
from modelwright.encoders.text import TextEncoder
from modelwright.tasks._words import cut

Make = Callable[..., TextEncoder]

TRICKY = (
    "plain words",
    "   leading and trailing spaces   ",
    "line one\r\nline two\r\n\r\nline three",
    "tabs\tand\u00a0no-break\u3000wide spaces",
    "我的银行卡丢了，怎么办？",
    "混合 text 与 English 单词",
    "Ｆｕｌｌ－ｗｉｄｔｈ ＡＢＣ１２３",
    "emoji 👩‍👩‍👧 and 👍🏽 here ❤️!",
    "cafe\u0301 Zoe\u0308 re\u0301sume\u0301 (combining)",
    "ﬁne ligatures ½ ㎏ №",
    "हिन्दी में लिखा है",
    "מה שלומך",
    "don't stop: e-mail me@example.com, 3.50€",
    "control\x00chars\x07and\u200bzero\u200dwidth",
)


def longest(kind: str) -> dict[str, object]:
    return {"max_tokens": 512, "pad_id": 1 if kind == "byte-level" else 0}


@pytest.mark.parametrize("text", [*TRICKY, "x" * 300, " ", "y" * 90 + " "])
def test_a_text_far_too_long_begins_as_if_it_were_read_to_its_end(
    make: Make, kind: str, text: str
) -> None:
    encoder = make(kind, **{**longest(kind), "max_tokens": 32})
    text = text * (200_000 // len(text))
    short, found, other = encoder.sequences(["a b", text, "c d"])
    encoder.tokenizer.enable_truncation(32)
    assert found["input_ids"] == encoder.tokenizer.encode(text).ids
    assert (short["truncated"], other["truncated"]) == (False, False)
    assert found["truncated"] == (len(encoder.tokenizer.encode(text).overflowing) > 0)


@pytest.mark.parametrize("text", TRICKY)
def test_the_token_of_a_word_stands_for_characters_of_that_word(
    make: Make, kind: str, text: str
) -> None:
    encoder = make(kind, **longest(kind))
    words = cut(text)
    (window,) = encoder.windows([text], [words])
    offsets = encoder.tokenizer.encode(text).offsets
    for word, position in zip(window["words"], window["positions"], strict=True):
        start, end = offsets[position]
        assert start < words[word][1]
        assert end > words[word][0]


@pytest.mark.parametrize("text", TRICKY)
def test_every_word_with_a_token_is_answered_once_however_small_the_windows(
    make: Make, kind: str, text: str
) -> None:
    text = " ".join([text] * 9)
    words = cut(text)
    (whole,) = make(kind, max_tokens=10_000).windows([text], [words])
    windows = make(kind, max_tokens=16).windows([text], [words])
    assert len(windows) > 1
    answered = [word for window in windows for word in window["words"]]
    assert sorted(answered) == whole["words"]
    assert all(len(window["input_ids"]) <= 16 for window in windows)


@pytest.mark.parametrize("text", TRICKY)
def test_a_long_text_is_read_by_the_same_token_of_each_word_as_a_short_one(
    make: Make, kind: str, text: str
) -> None:
    text = " ".join([text] * 9)
    words = cut(text)
    (whole,) = make(kind, max_tokens=10_000).windows([text], [words])
    expected = {
        word: whole["input_ids"][position]
        for word, position in zip(whole["words"], whole["positions"], strict=True)
    }
    found = {
        word: window["input_ids"][position]
        for window in make(kind, max_tokens=16).windows([text], [words])
        for word, position in zip(window["words"], window["positions"], strict=True)
    }
    assert found == expected


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=120), limit=st.integers(8, 24))
def test_any_text_is_answered_whole_and_in_bounds(
    make: Make, kind: str, text: str, limit: int
) -> None:
    words = cut(text)
    (whole,) = make(kind, max_tokens=10_000).windows([text], [words])
    windows = make(kind, max_tokens=limit).windows([text], [words])
    assert sorted(w for window in windows for w in window["words"]) == whole["words"]
    assert all(p < len(w["input_ids"]) for w in windows for p in w["positions"])


def test_a_word_stands_in_the_window_where_it_has_most_room(make: Make) -> None:
    text = "word " * 60
    words = cut(text)
    windows = make("published", max_tokens=16).windows([text], [words])
    inner = [position for window in windows[1:-1] for position in window["positions"]]
    assert min(inner) >= 2
    assert max(inner) <= 13


def test_a_word_without_any_token_has_no_position(make: Make) -> None:
    text = "a \u200b b"
    (window,) = make("published", max_tokens=16).windows([text], [[(0, 1), (2, 3), (4, 5)]])
    assert window["words"] == [0, 2]


def test_words_that_share_a_token_both_get_it(make: Make) -> None:
    (window,) = make("published", max_tokens=16).windows(["playing"], [[(0, 4), (4, 7)]])
    assert window["words"] == [0, 1]
    assert window["positions"] == [1, 1]


def test_a_text_of_no_words_gives_one_empty_window(make: Make, kind: str) -> None:
    windows = make(kind, max_tokens=16).windows(["", "  "], [[], []])
    assert [window["example"] for window in windows] == [0, 1]
    assert all(window["words"] == window["positions"] == [] for window in windows)


def test_long_text_is_cut_at_the_limit_and_says_so(make: Make, kind: str) -> None:
    short, long = make(kind, max_tokens=12).sequences(["lost card", "my card is lost " * 500])
    assert not short["truncated"]
    assert long["truncated"]
    assert len(long["input_ids"]) == len(long["token_type_ids"]) == 12


def test_of_a_pair_the_longer_text_is_cut_first(make: Make) -> None:
    (feature,) = make("published", max_tokens=16).sequences(["short one"], ["long " * 50])
    types = feature["token_type_ids"]
    assert len(types) == 16
    assert types.count(0) == 4  # [CLS] short one [SEP]


def test_empty_text_is_a_sequence_of_special_tokens(make: Make, kind: str) -> None:
    empty, spaces = make(kind, max_tokens=16).sequences(["", "\u0000"])
    assert len(empty["input_ids"]) == 2
    assert len(spaces["input_ids"]) >= 2


def test_half_a_surrogate_pair_is_read_as_an_unknown_character(make: Make, kind: str) -> None:
    encoder = make(kind, max_tokens=16)
    (sequence,) = encoder.sequences(["card \ud83d lost"])
    assert len(sequence["input_ids"]) > 3
    (window,) = encoder.windows(["\ud83d lost"], [[(0, 1), (2, 6)]])
    assert 1 in window["words"]


def test_a_batch_gives_each_text_what_it_gets_alone(make: Make, kind: str) -> None:
    encoder = make(kind, max_tokens=16)
    assert encoder.sequences(TRICKY) == [encoder.sequences([text])[0] for text in TRICKY]


def test_saving_and_opening_keeps_ids_and_settings(make: Make, kind: str, tmp_path: Path) -> None:
    encoder = make(kind, max_tokens=20, pad_id=1, casing=True, inputs=("input_ids",), stride=8)
    before = encoder.sequences(TRICKY)
    encoder.save(tmp_path)
    opened = open_encoder(tmp_path)
    assert isinstance(opened, TextEncoder)
    assert opened.settings == encoder.settings
    assert opened.sequences(TRICKY) == before


@pytest.mark.parametrize(
    ("word", "shape"),
    [
        ("paris", 0), ("巴黎", 0), ("!", 0), ("Paris", 2), ("I", 2), ("Élan", 2), ("NATO", 3),
        ("ÉTÉ", 3), ("iPhone", 4), ("McDonald", 4), ("1843", 5), ("B2B", 5), ("３", 5),
    ],
)  # fmt: skip
def test_with_casing_the_type_of_a_token_tells_how_its_word_was_written(
    make: Make, word: str, shape: int
) -> None:
    text = f"see {word} there"
    words = [(0, 3), (4, 4 + len(word)), (5 + len(word), len(text))]
    (window,) = make("published", max_tokens=32, casing=True).windows([text], [words])
    first, *_, last = window["token_type_ids"]
    assert first == last == 0
    assert window["token_type_ids"][window["positions"][1]] == shape
    assert window["token_type_ids"][window["positions"][2]] == 0


def test_every_piece_of_a_word_carries_its_shape(make: Make) -> None:
    encoder = make("published", max_tokens=32, casing=True)
    (window,) = encoder.windows(["Xyzzyburgh"], [[(0, 10)]])
    types = window["token_type_ids"]
    assert len(types) > 3
    assert types == [0, *[2] * (len(types) - 2), 0]


def test_without_casing_types_are_segments(make: Make) -> None:
    (window,) = make("published", max_tokens=32).windows(["NATO met"], [[(0, 4), (5, 8)]])
    assert set(window["token_type_ids"]) == {0}


def test_threads_may_share_an_encoder(make: Make) -> None:
    encoder = make("published", max_tokens=16)
    expected = encoder.sequences(TRICKY)
    wrong: list[object] = []

    def work() -> None:
        try:
            wrong.extend(one for _ in range(20) if (one := encoder.sequences(TRICKY)) != expected)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_a_user_sends_is_normalised_as_the_training_rows_were(make: Make) -> None:
    plain = make("published")
    normal = make("published", normal={"width": True, "entities": True})
    sent = "ｈｅｌｌｏ\u200b  world &amp; co"
    assert plain.sequences([sent]) != plain.sequences(["hello world & co"])
    assert normal.sequences([sent]) == plain.sequences(["hello world & co"])
    assert normal.sequences(["a"], [sent]) == plain.sequences(["a"], ["hello world & co"])
