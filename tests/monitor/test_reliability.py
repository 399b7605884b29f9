"""What scores alone tell of the accuracy."""

from __future__ import annotations

import numpy as np

from modelwright.monitor.reliability import estimate, reliability


def rows(count: int, seed: int, harm: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, right or wrong, and how unusual; `harm`: what the most unusual rows' scores overstate."""
    draw = np.random.default_rng(seed)
    scores, unusual = draw.beta(6, 1.5, count), draw.random(count)
    right = draw.random(count) < scores - harm * (unusual > 0.8)
    return scores, right, unusual


def test_scores_that_mean_what_they_meant_tell_the_accuracy_within_the_error() -> None:
    told = reliability(*rows(2_000, 0))
    assert told is not None
    off = []
    for seed in range(1, 101):
        scores, right, _ = rows(400, seed)
        value, error = estimate(told, scores)
        off.append(abs(value - right.mean()) / error)
    assert np.mean(np.array(off) < 1.96) >= 0.88


def test_scores_that_overstate_unusual_rows_show_a_larger_error() -> None:
    fair, harmed = reliability(*rows(2_000, 0)), reliability(*rows(2_000, 0, harm=0.4))
    assert fair is not None
    assert harmed is not None
    assert harmed["error"] > 0.08 > fair["error"]


def test_nothing_is_kept_where_nothing_is_right_or_wrong() -> None:
    scores, right, unusual = rows(50, 0)
    assert reliability(scores, None, unusual) is None
    assert reliability(np.append(scores, np.nan), np.append(right, True), unusual) is None
    assert "error" not in (reliability(scores, right, unusual) or {"error": 0})
