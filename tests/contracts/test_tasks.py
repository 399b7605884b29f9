"""What holds for every task: it can be learnt, saved, batched, asked in JSON and exported.

A new task is tested the day its file appears; it only adds its eight rows to ROWS.
"""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from modelwright import plugs
from modelwright.engines._bundle import open_variant
from modelwright.engines._schema import Checker
from modelwright.models.bases import resolve
from modelwright.models.checkpoint import TrainedModel, open_checkpoint
from modelwright.models.preparing import Shape, prepare
from modelwright.tasks import LossSettings, Row, Task, restore_task, store_task
from modelwright.train.features import collate_targets

TEXTS = (
    "my card is lost",
    "I want my money back",
    "hello, who are you?",
    "订单在哪里",
    "where is my parcel",
    "please close the account",
    "the price is 3.50€ 😀",
    "银行卡丢了怎么办",
)


def _picture(number: int) -> bytes:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, :, number % 3] = 120 + 15 * number
    pixels[4 * (number % 4) : 4 * (number % 4) + 4] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


ROWS: dict[str, list[dict[str, Any]]] = {
    "text-classification": [
        {"text": text, "label": f"class {number % 4}"} for number, text in enumerate(TEXTS)
    ],
    "text-regression": [
        {"text": text, "target": 0.5 * number - 1} for number, text in enumerate(TEXTS)
    ],
    "token-classification": [
        {
            "tokens": ["Ada", "met", name, "in", place, "again"],
            "tags": ["B-PER", "O", "B-PER", "O", "B-LOC", "O"],
        }
        for name, place in zip(
            ("Bob", "Eve", "Zoë", "李", "Max", "Ann", "Tim", "Joe"),
            ("Paris", "London", "上海", "Rome", "Oslo", "Bonn", "Lyon", "Kyiv"),
            strict=True,
        )
    ],
    "image-classification": [
        {"image": _picture(number), "label": number % 4} for number in range(8)
    ],
}


@dataclass
class Learnt:
    """A task with its eight rows and the network that learnt them."""

    task: Task
    rows: list[Row]
    model: TrainedModel

    @property
    def inputs(self) -> list[Any]:
        return [self.task.example(row) for row in self.rows]

    @property
    def features(self) -> list[dict[str, Any]]:
        return self.task.encode(self.inputs, self.model.encoder)


def canonical_rows(name: str) -> list[Row]:
    cls = plugs.load("task", name).cls
    return [cls.canonical(values, {}).row for values in ROWS[name]]


def table(name: str, rows: list[Row]) -> pa.Table:
    schema = plugs.load("task", name).cls.schema(multi_label=False, pair=False)
    return pa.Table.from_pylist(rows, schema=schema)


def untrained(name: str) -> tuple[Task, list[Row], TrainedModel]:
    torch.manual_seed(0)
    rows = canonical_rows(name)
    cls = plugs.load("task", name).cls
    task = cls(cls.learn_spec(table(name, rows), language="en", options={}))
    base = resolve("scratch:tiny", task.modality, Path())
    shape = Shape(max_tokens=32, dropout=0.0, image_size=16, vocabulary=200)
    return task, rows, prepare(base, task, shape, [row.get("text", "") for row in rows])


def overfit(task: Task, rows: list[Row], model: TrainedModel, steps: int = 150) -> float:
    """A plain loop over one batch; the last loss."""
    features = task.encode([task.example(row) for row in rows], model.encoder)
    arrays = model.collate(features)
    for feature in features:
        feature["targets"] = task.target(rows[feature["example"]], feature)
    width = next(iter(arrays.values())).shape[1]
    targets = torch.from_numpy(collate_targets(features, width))
    inputs = {name: torch.from_numpy(array) for name, array in arrays.items()}
    optimizer = torch.optim.AdamW(model.network.parameters(), lr=3e-3)
    model.network.train()
    value = float("inf")
    for _ in range(steps):
        loss = task.loss(model.network(**inputs), targets, LossSettings())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        value = float(loss.detach())
        if value < 0.002:
            break
    return value


@pytest.fixture(scope="module", params=plugs.names("task"))
def learnt(request: pytest.FixtureRequest) -> Learnt:
    task, rows, model = untrained(request.param)
    overfit(task, rows, model)
    return Learnt(task, rows, model)


def largest(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(first, second, strict=True))


def test_eight_rows_can_be_learnt_by_heart(learnt: Learnt) -> None:
    logits = learnt.model.logits(learnt.features)
    scores = learnt.task.evidence(learnt.rows, logits, learnt.features).scores()
    assert scores[learnt.task.main_metric] == pytest.approx(1.0)
    assert set(scores) <= set(learnt.task.metrics)


def test_a_saved_model_gives_equal_logits_when_opened(learnt: Learnt, tmp_path: Path) -> None:
    learnt.model.save(tmp_path)
    opened = open_checkpoint(tmp_path)
    assert opened.task.spec == learnt.task.spec
    assert opened.encoder.settings == learnt.model.encoder.settings
    features = opened.task.encode(learnt.inputs, opened.encoder)
    assert largest(learnt.model.logits(learnt.features), opened.logits(features)) == 0.0


def test_a_batch_answers_as_each_row_alone(learnt: Learnt) -> None:
    together = learnt.model.logits(learnt.features)
    alone = [learnt.model.logits([feature])[0] for feature in learnt.features]
    assert largest(together, alone) < 1e-4
    answers = [learnt.model.predict([given])[0] for given in learnt.inputs]
    assert learnt.task.agreement(learnt.model.predict(learnt.inputs), answers) == 1.0


def test_no_input_gives_no_answer(learnt: Learnt) -> None:
    assert learnt.model.predict([]) == []


@pytest.mark.parametrize("name", plugs.names("task"))
def test_labels_have_one_order_whatever_the_order_of_rows(name: str) -> None:
    rows = canonical_rows(name)
    cls = plugs.load("task", name).cls
    specs = []
    for seed in range(4):
        shuffled = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]
        specs.append(cls.learn_spec(table(name, shuffled), language="en", options={}))
    assert len({spec.labels for spec in specs}) == 1


def test_a_task_survives_being_stored_as_json(learnt: Learnt) -> None:
    stored = json.loads(json.dumps(store_task(learnt.task)))
    assert restore_task(stored).spec == learnt.task.spec
    assert restore_task(stored).name == learnt.task.name


def as_json(value: Any) -> Any:
    shown = base64.b64encode(value).decode() if isinstance(value, bytes) else value
    return json.loads(json.dumps(shown))


def test_requests_survive_json_and_fit_the_input_schema(learnt: Learnt) -> None:
    schema = json.loads(json.dumps(learnt.task.input_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    check = Checker(schema)
    requests = [as_json(given) for given in learnt.inputs]
    for request in requests:
        jsonschema.validate(request, schema)
        assert check.fault(request) is None
    assert learnt.model.predict(requests) == learnt.model.predict(learnt.inputs)


@pytest.mark.parametrize("wrong", [None, 3, "", [], {}, {"nonsense": 1}, [["a"]]])
def test_what_is_no_request_does_not_fit_the_input_schema(learnt: Learnt, wrong: object) -> None:
    validator = jsonschema.Draft202012Validator(learnt.task.input_schema())
    assert not validator.is_valid(wrong)
    assert Checker(learnt.task.input_schema()).fault(wrong) is not None


def test_answers_survive_json_and_fit_the_output_schema(learnt: Learnt) -> None:
    schema = json.loads(json.dumps(learnt.task.output_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    for answer in learnt.model.predict(learnt.inputs):
        assert json.loads(json.dumps(answer, allow_nan=False)) == answer
        jsonschema.validate(answer, schema)


def test_agreement_counts_equal_answers(learnt: Learnt) -> None:
    answers = learnt.model.predict(learnt.inputs)
    turned = answers[::-1]
    assert learnt.task.agreement(answers, answers) == 1.0
    assert learnt.task.agreement(answers, turned) < 1.0
    assert learnt.task.agreement([], []) == 1.0


def test_the_onnx_form_agrees_with_the_trained_one(learnt: Learnt, tmp_path: Path) -> None:
    plug = plugs.load("format", "onnx")
    drafts = plug.cls(plug.config()).write(learnt.model, tmp_path)
    exact = [draft for draft in drafts if draft.exact]
    assert exact
    for draft in exact:
        variant = open_variant(
            tmp_path / draft.name, draft.engine, learnt.task, learnt.model.encoder
        )
        trained = learnt.model.logits(learnt.features)
        assert largest(trained, variant.logits(learnt.features)) < 1e-4
        alone = [variant.logits([feature])[0] for feature in learnt.features]
        assert largest(trained, alone) < 1e-4
        assert variant.predict([]) == []


def test_label_smoothing_and_class_weights_change_the_loss_and_stay_finite(learnt: Learnt) -> None:
    task = learnt.task
    if not task.spec.labels:
        pytest.skip("no classes")
    features = learnt.features
    for feature in features:
        feature["targets"] = task.target(learnt.rows[feature["example"]], feature)
    arrays = learnt.model.collate(features)
    width = next(iter(arrays.values())).shape[1]
    targets = torch.from_numpy(collate_targets(features, width))
    with torch.inference_mode():
        inputs = {name: torch.from_numpy(array) for name, array in arrays.items()}
        logits = learnt.model.network.eval()(**inputs)
        weights = tuple(float(1 + i) for i in range(len(task.spec.labels)))
        plain, smooth, weighted = (
            float(task.loss(logits, targets, settings))
            for settings in (
                LossSettings(), LossSettings(0.2), LossSettings(class_weights=weights)
            )
        )  # fmt: skip
    assert np.isfinite([plain, smooth, weighted]).all()
    assert smooth > plain
    assert weighted != plain
