"""Batches of like length: nothing lost, nothing over the budget, padding that means nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modelwright.encoders.batches import (
    batches_by_length,
    collate,
    length_of,
    planned_batches,
    unpad,
    width_of,
)
from modelwright.encoders.image import ImageEncoder, ImageSettings
from modelwright.encoders.limits import BatchLimits
from modelwright.encoders.text import TextEncoder


def rows(lengths: list[int]) -> list[dict[str, object]]:
    return [
        {"input_ids": list(range(5, 5 + n)), "token_type_ids": [1] * n, "example": i}
        for i, n in enumerate(lengths)
    ]


@given(
    lengths=st.lists(st.integers(1, 60), max_size=50),
    tokens=st.integers(1, 200),
    most=st.integers(1, 9),
)
def test_every_row_is_in_one_batch_within_both_budgets(
    lengths: list[int], tokens: int, most: int
) -> None:
    batches = list(batches_by_length(rows(lengths), tokens, most))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[i] for i in batch)
        assert len(batch) <= most
        assert len(batch) == 1 or longest * len(batch) <= tokens


def test_short_rows_are_padded_with_the_tokenizers_own_id(
    make: Callable[..., TextEncoder],
) -> None:
    arrays = collate(rows([2, 3]), make("byte-level", pad_id=1))
    assert arrays["input_ids"].tolist() == [[5, 6, 1], [5, 6, 7]]
    assert arrays["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert arrays["token_type_ids"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert all(array.dtype == np.int64 for array in arrays.values())


def test_only_the_models_own_inputs_are_made(make: Callable[..., TextEncoder]) -> None:
    names = ("input_ids", "attention_mask")
    assert tuple(collate(rows([2]), make("byte-level", inputs=names))) == names


def test_images_of_a_batch_become_one_array() -> None:
    encoder = ImageEncoder(ImageSettings((4, 6), 3))
    features = [{"pixels": np.zeros((4, 6, 3), np.uint8)} for _ in range(2)]
    arrays = collate(features, encoder)
    assert arrays["pixel_values"].shape == (2, 3, 4, 6)
    assert arrays["pixel_values"].dtype == np.float32
    assert length_of(features[0]) == 1


def test_a_token_heads_padding_is_cut_off_and_a_class_heads_logits_are_kept() -> None:
    (feature,) = rows([3])
    assert unpad(np.zeros((7, 5)), feature).shape == (3, 5)
    assert unpad(np.zeros(5), feature).shape == (5,)


@given(
    lengths=st.lists(st.integers(1, 300), min_size=1, max_size=80),
    tokens=st.integers(1, 1024),
    workers=st.integers(1, 4),
    alone=st.sampled_from([0, 8, 32]),
)
def test_planned_batches_hold_every_row_once_in_few_shapes(
    lengths: list[int], tokens: int, workers: int, alone: int
) -> None:
    limits = BatchLimits(tokens, 32, 16, workers, alone)
    batches = planned_batches(rows(lengths), limits)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        (width,) = {width_of(lengths[i], 16) for i in batch}
        assert len(batch) in {1, 2, 3, 4, 6, 8, 12, 16, 24, 32}
        assert len(batch) == 1 or (len(batch) * width <= tokens and width > alone)


@given(length=st.integers(1, 4096))
def test_a_width_is_the_next_multiple_or_at_most_an_eighth_more(length: int) -> None:
    width = width_of(length, 16)
    assert length <= width <= max(length + 15, length * 9 / 8)
    assert width == 8 if length <= 8 else width % 16 == 0
    assert width_of(width, 16) == width


def test_few_widths_serve_all_lengths() -> None:
    widths = {width_of(length, 16) for length in range(1, 513)}
    assert {8, 16, 32, 48, 64, 128, 256, 512} <= widths
    assert len(widths) == 25


def test_several_workers_share_a_batch_of_like_rows() -> None:
    plan = planned_batches(rows([16] * 32), BatchLimits(512, 32, 16, workers=2))
    assert [len(batch) for batch in plan] == [16, 16]
    plan = planned_batches(rows([16] * 32), BatchLimits(512, 32, 16, workers=1))
    assert [len(batch) for batch in plan] == [32]


def test_a_padded_width_stays_within_the_models_longest_input(
    make: Callable[..., TextEncoder],
) -> None:
    arrays = collate(rows([9]), make("byte-level", max_tokens=10), multiple=16)
    assert arrays["input_ids"].shape == (1, 10)
    assert arrays["attention_mask"].tolist() == [[1] * 9 + [0]]
