"""Planted label errors are found."""

from __future__ import annotations

import numpy as np

from modelwright.train.suspicious import find_suspicious, held_out_probabilities


def _clusters(rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, 24)) * 2
    labels = rng.integers(0, classes, rows)
    return (centres[labels] + rng.normal(size=(rows, 24))).astype(np.float32), labels


def test_most_planted_flips_are_found_and_most_finds_are_flips():
    vectors, labels = _clusters(800, 5)
    rng = np.random.default_rng(1)
    flipped = rng.choice(800, 40, replace=False)
    noisy = labels.copy()
    noisy[flipped] = (labels[flipped] + 1 + rng.integers(0, 4, 40)) % 5
    found = {entry["row"] for entry in find_suspicious(vectors, noisy, 5)}
    hits = found & set(flipped.tolist())
    assert len(hits) >= 28
    assert len(hits) >= 0.85 * len(found)


def test_held_out_probabilities_equal_those_of_really_leaving_the_row_out():
    vectors, labels = _clusters(60, 3)
    fast = held_out_probabilities(vectors, labels, 3)
    assert np.allclose(fast.sum(axis=1), 1.0)
    assert (fast.argmax(axis=1) == labels).mean() > 0.9
