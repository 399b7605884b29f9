"""Data become YAML that old and new parsers read as the same data."""

from __future__ import annotations

import io
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from modelwright.deploy import yamltext

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["no", "on", "012", "1e3", "22:30", "0x1F", ".5", "2026-11-27", "~", "null", "- a", "a: b",
     "a #b", "{{ x }}", "${X}", "a\nb", "a\nb\n", " a\nb", "a\n\nb", "a \nb", "|", "'", '"', "\\",
     "\u2028", "\x85", "\ufeff", "😀", "é", "*a", "&a", "!!int 1", "%TAG", "@", "`", "=", "<<"]
)  # fmt: skip
DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXT
    | st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 6)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def _read_1_2(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(io.StringIO(text))


@given(DATA)
def test_whatever_is_written_is_read_again_by_parsers_of_both_versions(value: Any) -> None:
    text = yamltext.text(value)
    assert yaml.safe_load(text) == value
    assert _read_1_2(text) == value


@given(st.text(max_size=40), TEXT)
def test_a_comment_stays_a_comment(comment: str, value: str) -> None:
    value_of = {"a": yamltext.Noted({"b": yamltext.Noted(value, comment)}, comment)}
    assert yaml.safe_load(yamltext.text(value_of, comment)) == {"a": {"b": value}}


def test_it_reads_as_people_write() -> None:
    value = {
        "kind": "Deployment",
        "args": ["serve", "--host", "0.0.0.0"],
        "spec": {
            "replicas": yamltext.Noted(2, "why"),
            "containers": [{"name": "a", "on": "no", "text": "one\ntwo\n"}],
            "empty": {},
        },
    }
    assert yamltext.text(value, "head") == (
        "# head\n"
        "kind: Deployment\n"
        'args: [serve, "--host", "0.0.0.0"]\n'
        "spec:\n"
        "  # why\n"
        "  replicas: 2\n"
        "  containers:\n"
        "    - name: a\n"
        '      "on": "no"\n'
        "      text: |\n"
        "        one\n"
        "        two\n"
        "  empty: {}\n"
    )


def test_what_yaml_has_no_form_for_is_refused() -> None:
    with pytest.raises(TypeError):
        yamltext.text({"a": object()})
    with pytest.raises(ValueError):
        yamltext.text({"a": float("inf")})
