"""YAML 1.2 text to values and lines: strict on mistakes, quick on hostile input."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.errors import RecipeError
from modelwright.recipe.emit import inline
from modelwright.recipe.parse import parse, scalar
from modelwright.recipe.places import dotted, parsed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("NO", "NO"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("3", 3),
        ("-3", -3),
        ("1e-4", 1e-4),
        ("1.0E+3", 1000.0),
        (".5", 0.5),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 17),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("2024-01-01", "2024-01-01"),
        ("0b11", "0b11"),
        ("nan", "nan"),
        ("1e400", math.inf),
    ],
)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_not_a_number_is_a_number() -> None:
    assert math.isnan(scalar(".nan"))


def test_every_value_keeps_its_line_and_column() -> None:
    document = parse("a: 1\nb:\n  - x\n  - {c: 2,\n     d: [3]}\n", "r.yaml")
    places = {dotted(path): (place.line, place.column) for path, place in document.places.items()}
    assert places == {
        "": (1, 1),
        "a": (1, 1),
        "b": (2, 1),
        "b[0]": (3, 5),
        "b[1]": (4, 5),
        "b[1].c": (4, 6),
        "b[1].d": (5, 6),
        "b[1].d[0]": (5, 10),
    }


def test_quotes_keep_text_that_looks_like_a_number() -> None:
    assert parse("a: '3'\nb: \"true\"\nc: |\n  4\n", "r").value == {
        "a": "3",
        "b": "true",
        "c": "4\n",
    }


def test_all_duplicate_keys_are_reported_and_reading_goes_on() -> None:
    document = parse("a: 1\na: 2\nb: {c: 1, c: 2}\n", "r.yaml")
    assert [(p.code, p.line) for p in document.problems] == [("MW-103", 2), ("MW-103", 3)]
    assert "it first stands in line 1" in document.problems[0].expected


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a:\n\tb: 1\n", 2, "spaces"),
        ("a: [1, 2\nb: 3\n", 2, "bracket that opens in line 1"),
        ('a: "x\nb: 3\n', 2, "quote that opens in line 1"),
        ("a: b: c\n", 1, "quotes"),
        ("name x\ntask: y\n", 2, "has no colon"),
        ("a: 1\n---\nb: 2\n", 2, "one recipe a file"),
        ("a: !!python/object:os.system x\n", 1, "delete the tag"),
        ("a: *.csv\n", 1, "quotes"),
        ("a: &x [*x]\n", 1, ""),
        ("[a]: 1\n", 1, ""),
        ("a: %x\n", 1, "quotes"),
        ("a: `x`\n", 1, "quotes"),
        ("a: {b: ${HOME}}\n", 1, "${...} in quotes"),
        ("a: \x07\n", 1, "delete the character"),
        ("x: 1\na: {b: 1,\n", 2, "bracket"),
    ],
)
def test_syntax_errors_name_the_line_and_the_edit(text: str, line: int, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(text, "r.yaml")
    [problem] = caught.value.problems
    assert (problem.code, problem.line) == ("MW-103", line)
    assert words in problem.fix


def _laughs(levels: int) -> str:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(rows)


@pytest.mark.parametrize(
    "text",
    ["a: " + "[" * 100_000, "a: " + "{a: " * 20_000, _laughs(12), "a:\n" + "- x\n" * 60_000],
    ids=["brackets", "braces", "billion-laughs", "many-values"],
)
def test_hostile_input_is_refused_quickly(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(RecipeError) as caught:
        parse(text, "r.yaml")
    assert caught.value.problems[0].code == "MW-103"
    assert time.perf_counter() - started < 5


def test_aliases_within_reason_are_followed() -> None:
    assert parse("a: &x {b: 1}\nc: [*x, *x]\n", "r").value == {"a": {"b": 1}, "c": [{"b": 1}] * 2}


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab01:-[]{}&*!|>'\"%@`#,\n\t ?~.é中${}", max_size=60))
def test_any_text_gives_a_value_or_a_recipe_error(text: str) -> None:
    try:
        parse(text, "r.yaml")
    except RecipeError as error:
        assert all(problem.code == "MW-103" and problem.line for problem in error.problems)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(VALUES)
def test_what_is_written_on_one_line_reads_back_the_same(value: object) -> None:
    line = inline(value)
    assert "\n" not in line
    assert parse(f"key: {line}\n", "r").value == {"key": value}


@pytest.mark.parametrize("text", ["a", "a.b", "a[0].b", "a[1][2].c-d.e_f"])
def test_paths_read_back_as_they_are_written(text: str) -> None:
    path = parsed(text)
    assert path is not None
    assert dotted(path) == text


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "a[x]", "a[", "[0]", "a.[0]", "a[0]b"]
)
def test_what_is_no_path_is_none(text: str) -> None:
    assert parsed(text) is None
