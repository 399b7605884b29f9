"""Labels for images: rows of bytes, requests in base64."""

from __future__ import annotations

import base64
import io
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from modelwright import plugs
from modelwright.encoders.image import ImageEncoder, ImageSettings
from modelwright.tasks import RowProblem, Task, TaskSpec

CLS = plugs.load("task", "image-classification").cls
TASK: Task = CLS(TaskSpec(labels=("cat", "dog")))
ENCODER = ImageEncoder(ImageSettings((8, 8), 3))


def picture(kind: str = "png", size: tuple[int, int] = (20, 20)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (200, 30, 10)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp", "gif", "tiff"])
def test_a_row_keeps_the_image_as_it_was(kind: str) -> None:
    data = picture(kind)
    row = CLS.canonical({"image": data, "label": 3}, {}).row
    assert row == {"image": data, "label": "3"}
    assert CLS.canonical({"image": {"bytes": data, "path": None}, "label": "3"}, {}).row == row
    assert TASK.example(row) == data


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"image": None, "label": "cat"}, "missing-image"),
        ({"image": b"", "label": "cat"}, "missing-image"),
        ({"image": {}, "label": "cat"}, "missing-image"),
        ({"image": "cat.png", "label": "cat"}, "wrong-type"),
        ({"image": b"not an image", "label": "cat"}, "corrupt-image"),
        ({"image": picture()[:40], "label": "cat"}, "corrupt-image"),
        ({"image": picture(), "label": None}, "missing-label"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(RowProblem) as caught:
        CLS.canonical(values, {})
    assert caught.value.reason == reason


def test_several_labels_an_image() -> None:
    row = CLS.canonical({"image": picture(), "label": "dog|cat"}, {"multi_label": True}).row
    assert row["label"] == ["cat", "dog"]
    task = CLS(TaskSpec(labels=("cat", "dog"), multi_label=True))
    assert task.target(row, {}) == [1.0, 1.0]
    assert task.main_metric == "micro_f1"


def test_bytes_base64_objects_and_data_uris_are_read_alike() -> None:
    data = picture()
    text = base64.b64encode(data).decode()
    given = [data, text, {"image": text}, "data:image/png;base64," + text]
    features = TASK.encode(given, ENCODER)
    assert [feature["example"] for feature in features] == [0, 1, 2, 3]
    for feature in features:
        assert (feature["pixels"] == features[0]["pixels"]).all()
    for request in given[1:]:
        jsonschema.validate(request, TASK.input_schema())


@pytest.mark.parametrize("request_", ["no base64!", base64.b64encode(b"no image").decode()])
def test_a_request_that_is_no_image_is_refused(request_: str) -> None:
    with pytest.raises(ValueError, match="not"):
        TASK.encode([request_], ENCODER)


def test_the_answer_is_the_likeliest_class() -> None:
    (answer,) = TASK.decode([np.array([0.0, np.log(4.0)])], [{}])
    assert answer["label"] == "dog"
    assert answer["score"] == pytest.approx(0.8)
    jsonschema.validate(answer, TASK.output_schema())
