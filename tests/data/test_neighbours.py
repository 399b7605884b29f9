"""The search for nearly equal texts against a search that compares everything."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.data.chunks import hash_all
from modelwright.data.minhash import bands_for, fold, shingles, sketch
from modelwright.data.neighbours import Found, Neighbours, jaccard


def search(texts: list[str], labels: list[str] | None = None, threshold: float = 0.85) -> Found:
    """Search texts that come in several chunks."""
    index = Neighbours(threshold)
    for start in range(0, len(texts), 100):
        index.add(list(range(start, min(start + 100, len(texts)))), texts[start : start + 100])
    targets = hash_all(labels or [""] * len(texts))
    among = np.ones(len(texts), bool)
    return index.search(lambda rows: [texts[row] for row in rows], targets, among=among)


def by_comparing_all(texts: list[str], threshold: float) -> set[int]:
    """Rows that reach the threshold with an earlier row that doesn't itself."""
    sets = [shingles(fold(text), 5) for text in texts]
    kept: list[int] = []
    gone = set()
    for row, own in enumerate(sets):
        if any(jaccard(own, sets[other]) >= threshold for other in kept):
            gone.add(row)
        else:
            kept.append(row)
    return gone


def variants(count: int, seed: int) -> list[str]:
    """Sentences, and sentences with small changes to earlier ones."""
    rng = random.Random(seed)
    words = "".join(rng.choice("abcdefghijklmnop ") for _ in range(20_000)).split()
    texts: list[str] = []
    for _ in range(count):
        if texts and rng.random() < 0.4:
            base = rng.choice(texts).split()
            base[rng.randrange(len(base))] = rng.choice(words)
            texts.append(" ".join(base))
        else:
            texts.append(" ".join(rng.choices(words, k=rng.randrange(3, 40))))
    return texts


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.85, 0.95])
def test_all_pairs_are_found_and_none_below_the_threshold(threshold: float) -> None:
    texts = variants(700, seed=3)
    expected = by_comparing_all(texts, threshold)
    found = search(texts, threshold=threshold)
    rows = {match.row for match in found.matches}
    assert len(rows ^ expected) <= 0.02 * len(expected)
    sets = [shingles(fold(text), 5) for text in texts]
    for match in found.matches:
        assert match.twin < match.row
        assert match.twin not in rows
        assert jaccard(sets[match.row], sets[match.twin]) == match.similarity >= threshold


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=12))
def test_any_text_can_be_sketched_and_equals_itself(texts: list[str]) -> None:
    doubled = [*texts, *texts]
    assert {match.row for match in search(doubled).matches} >= set(range(len(texts), len(doubled)))


def test_different_labels_are_conflicts_and_not_matches() -> None:
    text = "please cancel the order that I placed yesterday in the evening"
    found = search([text, text + ".", text + "!"], ["a", "b", "a"])
    assert [(match.row, match.twin) for match in found.matches] == [(2, 0)]
    assert [(match.row, match.twin) for match in found.conflicts] == [(1, 0)]


def test_a_match_of_a_dropped_row_is_judged_by_the_row_that_stays() -> None:
    words = [f"word{n:03d}" for n in range(60)]
    chain = [" ".join([*words[step : step + 50]]) for step in range(0, 8, 2)]
    rows = {match.row for match in search(chain).matches}
    assert rows == by_comparing_all(chain, 0.85)


def test_chinese_is_compared_by_three_characters() -> None:
    text = "这家店的味道很好而且送餐很快下次还会再来点他们家的招牌菜真的特别好吃推荐大家都来试试看"
    found = search([text, text + "！", "完全不同的一句话没有任何相似之处"])
    assert [match.row for match in found.matches] == [1]


def test_short_texts_match_only_when_equal() -> None:
    found = search(["ok", "no", "ok", "好", "好吃", "好", "OK"])
    assert [(match.row, match.twin) for match in found.matches] == [(2, 0), (5, 3), (6, 0)]


def test_a_long_text_is_sketched_in_pieces_as_if_whole() -> None:
    rng = random.Random(0)
    text = "".join(rng.choice("abcdefghij ") for _ in range(150_000))
    bands = bands_for(0.85)
    whole = sketch([text], bands)
    import modelwright.data.minhash as module

    piece, module._PIECE = module._PIECE, 1 << 20
    try:
        assert (sketch([text], bands).keys == whole.keys).all()
    finally:
        module._PIECE = piece


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0])
def test_bands_miss_at_most_one_in_five_hundred_at_the_threshold(threshold: float) -> None:
    bands = bands_for(threshold)
    assert bands.chance(threshold) >= 0.998
    assert bands.bins <= 96


def seconds(texts: Callable[[int], list[str]], count: int) -> float:
    made = texts(count)
    start = time.process_time()
    search(made)
    return time.process_time() - start


TEMPLATE = (
    "Dear customer, your order number {} has been received on {} and will be sent to the address "
    "that you gave us within the next {} working days; write to us with any question about {}."
)


def templated(count: int, varied: int) -> list[str]:
    rng = random.Random(1)

    def word(length: int) -> str:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(length))

    return [TEMPLATE.format(*(word(varied) for _ in range(4))) for _ in range(count)]


@pytest.mark.parametrize(
    "texts",
    [
        lambda count: ["the very same text in every row of the file"] * count,
        lambda count: templated(count, 3),
        lambda count: templated(count, 30),
    ],
    ids=["identical", "nearly identical", "sharing a template"],
)
def test_crowded_buckets_take_linear_time(texts: Callable[[int], list[str]]) -> None:
    seconds(texts, 500)
    small, large = seconds(texts, 2_000), seconds(texts, 8_000)
    assert large < 2 * 4 * small + 0.5
