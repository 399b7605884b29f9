"""Numbers for texts: read from what people write, learnt standardised, given in their own unit."""

from __future__ import annotations

import math
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modelwright import plugs
from modelwright.errors import UserError
from modelwright.tasks import LossSettings, RowProblem, TaskSpec

CLS = plugs.load("task", "text-regression").cls


def learn(targets: list[float], *, pair: bool = False) -> TaskSpec:
    rows = [{"text": "x", "text_pair": "y", "target": value} for value in targets]
    schema = CLS.schema(multi_label=False, pair=pair)
    return CLS.learn_spec(pa.Table.from_pylist(rows, schema=schema), language="en", options={})


@pytest.mark.parametrize(
    ("value", "number"), [(3, 3.0), ("4.5", 4.5), (" -1e3 ", -1000.0), (0, 0.0)]
)
def test_a_target_is_a_number_or_its_text(value: object, number: float) -> None:
    assert CLS.canonical({"text": "x", "target": value}, {}).row["target"] == number


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, "missing-label"), ("", "missing-label"), (" ", "missing-label"),
     ("nan", "missing-label"), (math.inf, "missing-label"), ("four", "wrong-type"),
     ([1], "wrong-type")],
)  # fmt: skip
def test_a_target_that_is_no_number_says_why(value: object, reason: str) -> None:
    with pytest.raises(RowProblem) as caught:
        CLS.canonical({"text": "x", "target": value}, {})
    assert caught.value.reason == reason


@pytest.mark.parametrize("targets", [[], [1.0], [2.0, 2.0, 2.0]])
def test_targets_that_do_not_vary_cannot_be_learnt(targets: list[float]) -> None:
    with pytest.raises(UserError, match="MW-205"):
        learn(targets)


NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20).filter(
    lambda values: max(values) - min(values) > 1e-3
)


@given(NUMBERS)
def test_what_is_learnt_standardised_is_given_back_in_its_unit(targets: list[float]) -> None:
    task = CLS(learn(targets))
    learnt = [task.target({"target": value}, {}) for value in targets]
    assert abs(np.mean(learnt)) < 1e-3
    assert np.std(learnt) == pytest.approx(1.0, abs=1e-3)
    answers = task.decode([np.array(row) for row in learnt], [{}] * len(targets))
    wide = max(map(abs, targets)) + 1e-9
    for answer, target in zip(answers, targets, strict=True):
        assert answer["value"] == pytest.approx(target, abs=1e-5 * wide)
        jsonschema.validate(answer, task.output_schema())


def test_small_units_keep_their_digits() -> None:
    task = CLS(learn([1.25e-9, 7.5e-9]))
    answers = task.decode([np.array(task.target({"target": 1.25e-9}, {}))], [{}])
    assert answers[0]["value"] == pytest.approx(1.25e-9)


def test_the_loss_is_the_mean_squared_error() -> None:
    task = CLS(learn([0.0, 1.0]))
    loss = task.loss(torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [3.0]]), LossSettings())
    assert float(loss) == 0.5


def test_agreement_allows_one_hundredth_of_the_range() -> None:
    task = CLS(learn([0.0, 10.0]))
    assert task.agreement([{"value": 1.0}] * 2, [{"value": 1.09}, {"value": 1.2}]) == 0.5


def test_a_pair_of_texts_has_one_number() -> None:
    task = CLS(learn([1.0, 2.0], pair=True))
    row: dict[str, Any] = {"text": "a", "text_pair": "b", "target": "1.5"}
    example = task.example(CLS.canonical(row, {}).row)
    assert example == {"text": "a", "text_pair": "b"}
    jsonschema.validate(example, task.input_schema())


def test_evidence_is_in_the_targets_unit() -> None:
    task = CLS(learn([0.0, 10.0]))
    logits = [np.array(task.target({"target": value}, {})) for value in (1.0, 2.0, 4.0)]
    rows = [{"target": value} for value in (1.0, 2.0, 3.0)]
    scores = task.evidence(rows, logits, [{}] * 3).scores()
    assert scores["spearman"] == pytest.approx(1.0)
    assert scores["rmse"] == pytest.approx(math.sqrt(1 / 3), rel=1e-4)
    assert task.main_metric in scores
