"""The parity gate's arithmetic: what counts as the same, in batches and alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from modelwright import plugs
from modelwright.formats import Draft
from modelwright.package import proving
from modelwright.package.proving import Reference, disagreement, parity, speed, vector_parity
from modelwright.tasks import TaskSpec

TASK = plugs.load("task", "text-classification").cls(TaskSpec(labels=("a", "b")))
EXACT = Draft("x", "onnxruntime", "fp32", exact=True)
LOGITS = [np.array([float(i % 2), 0.5], np.float32) for i in range(100)]


def reference() -> Reference:
    features = [{"input_ids": [0] * (1 + i % 7), "example": i} for i in range(100)]
    return Reference(TASK, [{"label": "a"}] * 100, ["x"] * 100, features, LOGITS)


class Answering:
    """A variant whose logits differ from the trained ones, in batches or alone."""

    def __init__(self, batch: float = 0.0, alone: float = 0.0) -> None:
        self.batch, self.alone = batch, alone

    def logits(self, features: Sequence[dict[str, Any]]) -> list[np.ndarray]:
        off = self.alone if len(features) == 1 else self.batch
        return [LOGITS[feature["example"]] + np.float32([0.0, off]) for feature in features]


def test_equal_answers_pass() -> None:
    found, logits = parity(Answering(), reference())
    assert found == {
        "rows": 100, "agreement": 1.0, "max_abs_diff": 0.0, "alone_max_abs_diff": 0.0
    }  # fmt: skip
    assert disagreement(EXACT, found) == ""
    assert len(logits) == 100


@pytest.mark.parametrize("variant", [Answering(batch=0.01), Answering(alone=0.01)])
def test_logits_that_differ_in_batches_or_alone_are_refused(variant: Answering) -> None:
    found, _ = parity(variant, reference())
    assert "logits differ by up to 0.01" in disagreement(EXACT, found)


def test_other_labels_are_refused() -> None:
    found, _ = parity(Answering(batch=-0.6), reference())
    assert found["agreement"] == 0.5
    assert "agrees on 0.5000 of the rows" in disagreement(EXACT, found)


def test_a_form_that_may_differ_is_judged_by_quality_and_not_here() -> None:
    found, _ = parity(Answering(batch=-0.6), reference())
    assert disagreement(Draft("x", "onnxruntime", "int8", exact=False), found) == ""


@pytest.mark.parametrize("where", ["batch", "alone"])
def test_logits_that_are_no_numbers_are_refused(where: str) -> None:
    found, _ = parity(Answering(**{where: float("nan")}), reference())
    assert "nan" in disagreement(EXACT, {**found, "agreement": 1.0})


class Pointing:
    """A variant or a network whose vectors are turned by an angle."""

    def __init__(self, angle: float = 0.0, dimensions: int = 2) -> None:
        self.angle, self.dimensions = angle, dimensions

    def vectors(self, features: Sequence[dict[str, Any]]) -> list[np.ndarray]:
        turned = [feature["example"] + self.angle for feature in features]
        return [3 * np.array([np.cos(one), np.sin(one)], np.float32) for one in turned]


@pytest.mark.parametrize(("angle", "refused"), [(0.0, False), (0.01, False), (0.1, True)])
def test_vectors_that_point_elsewhere_are_refused(angle: float, refused: bool) -> None:
    found, _ = parity(Answering(), reference())
    found |= vector_parity(Pointing(angle), Pointing(), reference())
    assert found["dimensions"] == 2
    assert found["vectors_min_cosine"] == pytest.approx(np.cos(angle), abs=1e-5)
    assert ("vectors point elsewhere" in disagreement(EXACT, found)) is refused
    assert disagreement(replace(EXACT, exact=False), found) == ""


def test_a_variant_without_vectors_is_judged_by_its_logits_alone() -> None:
    assert vector_parity(Pointing(dimensions=0), Pointing(), reference()) == {}


def test_speed_is_measured_for_each_batch_at_two_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "SPEED_SECONDS", 0.001)
    seen: list[int] = []

    class Counting(Answering):
        def logits(self, features: Sequence[dict[str, Any]]) -> list[np.ndarray]:
            seen.append(len(features))
            return super().logits(features)

    rows = speed(Counting(), reference().features)
    assert [(row["batch"], row["length"]) for row in rows] == [
        (1, 4), (8, 4), (32, 4), (1, 7), (8, 7), (32, 7)
    ]  # fmt: skip
    assert set(seen) == {1, 8, 32}
    assert all(row["p50_ms"] <= row["p95_ms"] for row in rows)


def test_fewer_rows_than_a_batch_are_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "SPEED_SECONDS", 0.001)
    rows = speed(Answering(), reference().features[:3])
    assert [row["batch"] for row in rows] == [1, 8, 32, 1, 8, 32]
