"""Which column is which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modelwright import plugs
from modelwright.data.columns import map_columns
from modelwright.errors import UserError
from modelwright.recipe.schema import Data, Splits


class Header:
    """A source of which only the header matters."""

    location = "rows.csv"

    def __init__(self, *names: str) -> None:
        self.names = list(names)

    def columns(self) -> list[str]:
        return self.names

    def label_names(self) -> dict[str, list[str]]:
        return {}


def roles(*names: str, task: str = "text-classification", **data: Any) -> dict[str, str]:
    """The mapping for a header."""
    cls = plugs.load("task", task).cls
    return dict(map_columns(Header(*names), Data(source="rows.csv", **data), cls).roles)  # type: ignore[arg-type]


def problem(call: Callable[[], Any]) -> Any:
    with pytest.raises(UserError) as caught:
        call()
    assert caught.value.problem.code == "MW-202"
    return caught.value.problem


def test_aliases_are_recognised_whatever_their_case() -> None:
    assert roles("Intent", "QUESTION") == {"text": "QUESTION", "label": "Intent"}
    assert roles("标签", "评论") == {"text": "评论", "label": "标签"}


def test_the_recipe_wins_over_aliases() -> None:
    assert roles("text", "body", "label", columns={"text": "body"})["text"] == "body"


def test_the_only_column_left_is_taken_but_never_an_id() -> None:
    assert roles("wording", "label")["text"] == "wording"
    assert roles("id", "text", "kind")["label"] == "kind"
    problem(lambda: roles("text", "id"))
    problem(lambda: roles("text", "kind", "colour"))


def test_a_pair_needs_both_halves_or_the_recipe() -> None:
    assert roles("sentence1", "sentence2", "label")["text_pair"] == "sentence2"
    assert roles("question1", "question2", "label") == {
        "text": "question1", "text_pair": "question2", "label": "label",
    }  # fmt: skip
    assert roles("premise", "hypothesis", "label")["text_pair"] == "hypothesis"
    assert "text_pair" not in roles("text", "title", "label")
    assert "text_pair" not in roles("question", "answer", "label")
    named = roles("question", "answer", "label", columns={"text_pair": "answer"})
    assert named["text_pair"] == "answer"


def test_a_named_column_that_is_missing_is_answered_with_the_nearest() -> None:
    found = problem(lambda: roles("text", "intent", columns={"label": "intnt"}))
    assert "`data.columns.label` names the column `intnt`" in found.seen
    assert found.expected == "one of its columns: text, intent"
    assert found.fix == "did you mean `intent`?"


def test_an_unrecognised_column_is_answered_with_the_edit() -> None:
    found = problem(lambda: roles("id", "utt", "lbl", "when"))
    assert "no column of the data is recognised as `text` (the text to classify)" in found.seen
    assert "id, utt, lbl, when" in found.expected
    assert "data: {columns: {text: " in found.fix


def test_an_unknown_role_is_answered_with_the_roles() -> None:
    assert problem(lambda: roles("text", "label", columns={"lable": "label"})).fix == (
        "did you mean `label`?"
    )


def test_groups_and_slices_must_exist() -> None:
    problem(lambda: roles("text", "label", slices=["age"]))
    problem(lambda: roles("text", "label", splits=Splits(groups="customer")))


def test_tagged_data_needs_tags_or_spans() -> None:
    assert roles("tokens", "ner_tags", task="token-classification") == {
        "tokens": "tokens", "tags": "ner_tags",
    }  # fmt: skip
    problem(lambda: roles("text", "colour", "shape", task="token-classification"))
