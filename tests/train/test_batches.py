"""Batches of like length under budgets."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.train.batches import LengthBatches, Visits

LENGTHS = st.lists(st.integers(1, 200), min_size=1, max_size=300).map(np.array)


@settings(deadline=None, max_examples=60)
@given(LENGTHS, st.integers(1, 40), st.integers(1, 2000), st.integers(0, 5))
def test_each_epoch_has_every_row_once_and_each_batch_keeps_its_budgets(
    lengths, rows, tokens, seed
):
    batches = LengthBatches(lengths, rows, tokens, epochs=2, seed=seed)
    everything = list(batches)
    assert len(everything) == len(batches)
    first = everything[: batches.ends[0]]
    assert sorted(row for batch in first for row in batch) == list(range(len(lengths)))
    for batch in everything:
        assert len(batch) <= rows
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= tokens


def test_the_same_seed_gives_the_same_batches_and_another_epoch_other_ones():
    lengths = np.random.default_rng(0).integers(3, 60, 500)
    one, two = (list(LengthBatches(lengths, 16, 4096, 2, seed=7)) for _ in range(2))
    assert one == two
    half = len(one) // 2
    assert one[:half] != one[half:]


def test_batches_of_like_length_have_little_padding():
    lengths = np.random.default_rng(0).integers(5, 100, 4000)
    batches = list(LengthBatches(lengths, 32, 4096, 1, seed=0))
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.1 * lengths.sum()


def test_a_fraction_of_an_epoch_ends_within_it():
    lengths = np.full(1000, 10)
    whole = LengthBatches(lengths, 10, 4096, 1, seed=0)
    tenth = LengthBatches(lengths, 10, 4096, 0.1, seed=0)
    assert len(tenth) == 10
    assert list(tenth) == list(whole)[:10]


def test_a_row_is_visited_under_another_number_in_each_epoch():
    visits = list(Visits(LengthBatches(np.full(20, 5), 10, 4096, 2, seed=0)))
    places = [place for batch in visits for place in batch]
    assert len(set(places)) == len(places) == 40
