"""The schema checker: as strict as the standard says, and it names the field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.engines._schema import Checker, Fault
from modelwright.errors import UserError
from modelwright.testing.doubles import FakeBundle

SCHEMAS = [
    FakeBundle().manifest["input"],
    FakeBundle(pair=True).manifest["input"],
    FakeBundle(task="token-classification").manifest["input"],
    FakeBundle().manifest["output"],
    FakeBundle(task="token-classification").manifest["output"],
    {"type": ["number", "null"], "minimum": 1, "maximum": 3},
    {"type": "object", "additionalProperties": {"type": "integer"}},
    {"enum": [1, "a", None, True]},
    {"const": 0},
    {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string", "pattern": "^a"}},
]
VALUES = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 2.0, 2.5, -1, "", "a", "abc", "card_lost"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["text", "text_pair", "tokens", "words", "label", "score", "scores",
                         "entities",
                         "start", "end", "other"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS)
@settings(max_examples=200, deadline=None)
@given(value=VALUES)
def test_it_agrees_with_an_independent_implementation(schema: dict[str, Any], value: Any):
    from jsonschema import Draft202012Validator

    assert (Checker(schema).fault(value) is None) == Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize(
    ("value", "field", "message"),
    [
        (3, "inputs[1]", "expected a string or an object, got a number"),
        ("", "inputs[1]", "expected at least 1 character(s), it is empty"),
        ({"text": 3}, "inputs[1].text", "expected a string, got a number"),
        ({}, "inputs[1].text", "is required and missing"),
        (
            {"text": "a", "x" * 99: 1},
            "inputs[1]." + "x" * 61 + "...",
            "is not a known field; known: text",
        ),
    ],
)
def test_a_fault_names_the_field_and_what_was_expected(value: Any, field: str, message: str):
    assert Checker(SCHEMAS[0]).fault(value, "inputs[1]") == Fault(field, message)


def test_a_keyword_it_does_not_know_is_refused_rather_than_ignored():
    with pytest.raises(UserError, match="uniqueItems"):
        Checker({"type": "array", "uniqueItems": True})
    Checker({"type": "string", "x-columns": {"text": "q"}, "description": "fine"})
