"""Labels for texts: one or several, single texts and pairs, in any script."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modelwright import plugs
from modelwright.encoders.text import TextEncoder
from modelwright.errors import UserError
from modelwright.tasks import LossSettings, RowProblem, Task, TaskSpec
from modelwright.tasks._classes import natural_key

CLS = plugs.load("task", "text-classification").cls
ONE: Task = CLS(TaskSpec(labels=("no", "yes")))
SEVERAL: Task = CLS(TaskSpec(labels=("a", "b", "c"), multi_label=True))
PAIR: Task = CLS(TaskSpec(labels=("no", "yes"), pair=True))


def row_of(values: dict[str, Any], **options: Any) -> dict[str, Any]:
    return CLS.canonical(values, options).row


def reason_of(values: dict[str, Any], **options: Any) -> str:
    with pytest.raises(RowProblem) as caught:
        CLS.canonical(values, options)
    return caught.value.reason


def learn(rows: list[dict[str, Any]], *, multi_label: bool = False, pair: bool = False) -> TaskSpec:
    schema = CLS.schema(multi_label=multi_label, pair=pair)
    return CLS.learn_spec(pa.Table.from_pylist(rows, schema=schema), language="en", options={})


@pytest.mark.parametrize(
    ("given_label", "label"),
    [("yes", "yes"), (" yes ", "yes"), (3, "3"), (3.0, "3"), (2.5, "2.5"), (True, "true"),
     (0, "0"), ("退款", "退款"), ("😀", "😀")],
)  # fmt: skip
def test_a_label_becomes_the_name_of_a_class(given_label: object, label: str) -> None:
    assert row_of({"text": "hello", "label": given_label})["label"] == label


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"text": "a", "label": None}, "missing-label"),
        ({"text": "a", "label": "  "}, "missing-label"),
        ({"text": "a", "label": math.nan}, "missing-label"),
        ({"text": "a", "label": ["x"]}, "wrong-type"),
        ({"text": None, "label": "x"}, "missing-text"),
        ({"text": " \n", "label": "x"}, "empty-text"),
        ({"text": ["a"], "label": "x"}, "wrong-type"),
        ({"text": True, "label": "x"}, "wrong-type"),
        ({"text": "a", "text_pair": "", "label": "x"}, "empty-text"),
        ({"text": "a", "text_pair": None, "label": "x"}, "missing-text"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(values: dict[str, Any], reason: str) -> None:
    assert reason_of(values) == reason


def test_a_number_may_stand_where_text_is_wanted() -> None:
    assert row_of({"text": 404, "label": "x"})["text"] == "404"


@pytest.mark.parametrize(
    ("given_labels", "labels"),
    [(["b", "a", "b"], ["a", "b"]), ("b|a", ["a", "b"]), (" a | ", ["a"]), ("", []), ([], []),
     ([1, 2.0], ["1", "2"])],
)  # fmt: skip
def test_several_labels_are_a_sorted_set(given_labels: object, labels: list[str]) -> None:
    assert row_of({"text": "x", "label": given_labels}, multi_label=True)["label"] == labels


def test_the_separator_of_several_labels_can_be_chosen() -> None:
    row = row_of({"text": "x", "label": "a; b"}, multi_label=True, separator=";")
    assert row["label"] == ["a", "b"]
    assert reason_of({"text": "x", "label": 3}, multi_label=True) == "wrong-type"
    assert reason_of({"text": "x", "label": None}, multi_label=True) == "missing-label"


def test_classes_that_are_numbers_are_ordered_as_numbers() -> None:
    rows = [{"text": "x", "label": label} for label in ("10", "9", "-1", "2.5", "other", "NaN")]
    assert learn(rows).labels == ("-1", "2.5", "9", "10", "NaN", "other")


@given(st.permutations(["nan", "NaN", "inf", "-inf", "1", "01", "1.0", "1e1", "x", "", "二"]))
def test_strange_names_have_one_order(names: list[str]) -> None:
    assert sorted(names, key=natural_key) == sorted(sorted(names), key=natural_key)


@pytest.mark.parametrize("labels", [[], ["only"]])
def test_fewer_than_two_classes_cannot_be_learnt(labels: list[str]) -> None:
    with pytest.raises(UserError, match="MW-205"):
        learn([{"text": "x", "label": label} for label in labels])


def test_what_the_rows_are_decides_the_spec() -> None:
    assert learn([{"text": "x", "label": ["b", "a"]}], multi_label=True) == TaskSpec(
        labels=("a", "b"), multi_label=True, language="en"
    )
    rows = [{"text": "x", "text_pair": "y", "label": label} for label in "ab"]
    assert learn(rows, pair=True).pair


@pytest.mark.parametrize(
    "text", ["card lost", "我的银行卡丢了", "😀👩‍👩‍👧", "\u0000\u200b", "  ", "word " * 40_000]
)
def test_any_text_gets_one_answer(encoder: TextEncoder, text: str) -> None:
    features = ONE.encode([text, {"text": text}], encoder)
    assert [feature["example"] for feature in features] == [0, 1]
    assert features[0]["input_ids"] == features[1]["input_ids"]
    assert 2 <= len(features[0]["input_ids"]) <= 128
    assert features[0]["truncated"] == (len(text) > 1000)
    assert len(ONE.decode([np.array([0.0, 1.0])] * 2, features)) == 2


def test_a_pair_is_read_as_two_segments(encoder: TextEncoder) -> None:
    row = row_of({"text": "is it open", "text_pair": "yes it is", "label": "yes"})
    example = PAIR.example(row)
    assert example == {"text": "is it open", "text_pair": "yes it is"}
    (feature,) = PAIR.encode([example], encoder)
    assert feature["token_type_ids"] == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    jsonschema.validate(example, PAIR.input_schema())
    assert not jsonschema.Draft202012Validator(PAIR.input_schema()).is_valid({"text": "alone"})


def test_the_answer_is_the_likeliest_class_with_all_scores() -> None:
    (answer,) = ONE.decode([np.array([0.0, np.log(3.0)])], [{}])
    assert answer == {"label": "yes", "score": 0.75, "scores": {"no": 0.25, "yes": 0.75}}
    jsonschema.validate(answer, ONE.output_schema())


def test_huge_logits_still_give_probabilities() -> None:
    (answer,) = ONE.decode([np.array([1e30, -1e30], np.float32)], [{}])
    assert answer["score"] == 1.0
    (several,) = SEVERAL.decode([np.array([30.0, -30.0, 0.0], np.float32)], [{}])
    assert several["scores"] == {"a": 1.0, "b": 0.0, "c": 0.5}


def test_of_several_labels_every_one_over_one_half_is_given() -> None:
    none, two = SEVERAL.decode([np.array([-1.0, -2.0, -3.0]), np.array([1.0, -1.0, 2.0])], [{}, {}])
    assert none["labels"] == []
    assert two["labels"] == ["a", "c"]
    for answer in (none, two):
        jsonschema.validate(answer, SEVERAL.output_schema())
    assert SEVERAL.main_metric == "micro_f1"


def test_targets_follow_the_order_of_labels() -> None:
    assert ONE.target({"label": "yes"}, {}) == 1
    assert SEVERAL.target({"label": ["c", "a"]}, {}) == [1.0, 0.0, 1.0]
    assert SEVERAL.target({"label": []}, {}) == [0.0, 0.0, 0.0]


def test_several_labels_can_be_learnt_by_heart(make: Callable[..., TextEncoder]) -> None:
    torch.manual_seed(0)
    truth = [["a"], ["b", "c"], [], ["a", "b", "c"]]
    targets = torch.tensor([SEVERAL.target({"label": labels}, {}) for labels in truth])
    logits = torch.zeros(4, 3, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.5)
    for _ in range(50):
        loss = SEVERAL.loss(logits, targets, LossSettings())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    answers = SEVERAL.decode(list(logits.detach().numpy()), [{}] * 4)
    assert [answer["labels"] for answer in answers] == truth
    weighted = SEVERAL.loss(logits, targets, LossSettings(0.1, (1.0, 2.0, 3.0)))
    assert torch.isfinite(weighted)


def test_agreement_compares_labels_and_not_scores() -> None:
    a, b = {"label": "yes", "score": 0.9}, {"label": "no", "score": 0.9}
    assert ONE.agreement([a, a], [{**a, "score": 0.6}, b]) == 0.5
    assert SEVERAL.agreement([{"labels": ["a"]}], [{"labels": ["a", "b"]}]) == 0.0


def test_evidence_judges_one_and_several_labels() -> None:
    one = ONE.evidence([{"label": "yes"}, {"label": "no"}], [np.array([0, 1.0])] * 2, [{}] * 2)
    assert one.scores()["accuracy"] == 0.5
    several = SEVERAL.evidence([{"label": ["a"]}], [np.array([1.0, -1.0, -1.0])], [{}])
    assert several.scores()["micro_f1"] == 1.0
