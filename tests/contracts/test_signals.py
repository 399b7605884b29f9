"""What holds for every signal, whoever wrote it."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from modelwright import plugs
from modelwright.monitor.sample import Known, Sample
from modelwright.monitor.signals import Signal

WORDS = [
    *("where", "is", "my", "parcel", "today", "please", "tell", "me", "how", "to", "return", "the"),
    *("red", "shoes", "我", "的", "包裹", "在", "哪里"),
]


@pytest.fixture(params=plugs.names("signal"))
def signal(request: pytest.FixtureRequest) -> Signal:
    plug = plugs.load("signal", request.param)
    return plug.cls(plug.config())


def sample(rows: int, seed: int, modality: str = "text") -> Sample:
    """Rows of one distribution."""
    draw = np.random.default_rng(seed)
    centres = np.linalg.qr(np.random.default_rng(9).normal(size=(8, 8)))[0].astype(np.float32)
    known = Known(centres=centres).learn(WORDS[:12])
    vectors = draw.normal(size=(rows, 8)) * 0.3 + centres[draw.integers(0, 8, rows)]
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    inputs = [
        picture(draw) if modality == "image" else " ".join(draw.choice(WORDS, draw.integers(1, 12)))
        for _ in range(rows)
    ]
    answers = [
        {"label": str(label), "score": float(score), "value": float(value)}
        for label, score, value in zip(
            draw.integers(0, 9, rows), draw.beta(8, 2, rows), draw.normal(size=rows), strict=True
        )
    ]
    return Sample(inputs, answers, known, vectors, range(rows))


def picture(draw: np.random.Generator) -> bytes:
    kept = io.BytesIO()
    size = int(draw.integers(8, 40))
    grey = draw.integers(0, 256, (size, size), dtype=np.uint8)
    Image.fromarray(grey).save(kept, "PNG")
    return kept.getvalue()


def test_each_row_has_its_value(signal: Signal) -> None:
    values = signal.values(sample(50, 0, signal.modality or "text"))
    assert len(values) == 50
    assert signal.sketch(values).rows == 50


def test_a_sketch_comes_back_from_json_and_does_not_grow(signal: Signal) -> None:
    small = signal.sketch(signal.values(sample(60, 0, signal.modality or "text")))
    kept = json.loads(json.dumps(small.as_dict()))
    assert signal.restored(kept) == small
    if signal.edges:
        large = signal.sketch(signal.values(sample(240, 1, signal.modality or "text")))
        assert len(large.as_dict()["counts"]) == len(small.as_dict()["counts"])


def test_rows_without_anything_count_nothing(signal: Signal) -> None:
    nothing = Sample([None] * 3, [{}] * 3, Known())
    assert signal.sketch(signal.values(nothing)).rows == 0


def test_rows_of_one_distribution_alarm_as_rarely_as_promised(signal: Signal) -> None:
    alpha, times, modality = 0.05, 60, signal.modality or "text"
    rows = 60 if modality == "image" else 150
    alarms = sum(
        signal.sketch(signal.values(sample(3 * rows, 2 * n, modality)))
        .moved(signal.sketch(signal.values(sample(rows, 2 * n + 1, modality))))  # type: ignore[arg-type]
        .p
        < alpha
        for n in range(times)
    )
    assert alarms <= times * alpha + 3 * (times * alpha) ** 0.5


def test_it_has_a_title_in_both_languages(signal: Signal) -> None:
    english, chinese = signal.title
    assert english.isascii()
    assert not chinese.isascii()
