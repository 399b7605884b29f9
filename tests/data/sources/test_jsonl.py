"""JSON Lines and JSON arrays: objects as they are, damaged ones set aside."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright import plugs
from modelwright.errors import UserError

ROWS = [
    {"text": "a", "label": 1},
    {"text": "你好", "spans": [{"start": 0, "end": 2, "label": "X"}]},
]


def test_each_line_is_a_row_with_its_types(read, open_as, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)) + "\n\n")
    good, broken = read("jsonl", path)
    assert [row.values for row in good] == ROWS
    assert [row.line for row in good] == [1, 2]
    assert broken == []
    assert open_as("jsonl", path).columns() == ["text", "label", "spans"]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        json.dumps({"data": ROWS}),
        json.dumps({"version": "1.1", "n": [1], "data": ROWS}, indent=2),
        json.dumps({"examples": ROWS, "more": {"a": []}}, indent=1),
        "\ufeff" + json.dumps(ROWS, ensure_ascii=False),
    ],
)
def test_one_array_gives_its_elements(read, tmp_path, text):
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    good, broken = read("jsonl", tmp_path / "a.json")
    assert [row.values for row in good] == ROWS
    assert broken == []


def test_elements_carry_the_line_where_they_begin(read, tmp_path):
    (tmp_path / "a.json").write_text('[\n  {"a": 1},\n  {\n    "a": 2\n  },\n  {"a": 3}\n]\n')
    good, _ = read("jsonl", tmp_path / "a.json")
    assert [row.line for row in good] == [2, 3, 6]


def test_the_key_of_the_array_can_be_named(read, open_as, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"data": [1], "train": ROWS}))
    assert [row.values for row in read("jsonl", tmp_path / "a.json", key="train")[0]] == ROWS
    with pytest.raises(UserError, match=r"MW-201[\s\S]*under the key `test`"):
        list(open_as("jsonl", tmp_path / "a.json", key="test").rows())


def test_a_json_file_of_lines_is_lines(read, tmp_path):
    (tmp_path / "a.json").write_text("\n".join(map(json.dumps, ROWS)))
    assert [row.values for row in read("jsonl", tmp_path / "a.json")[0]] == ROWS


def test_a_document_without_an_array_is_an_error(read, tmp_path):
    (tmp_path / "a.json").write_text('{\n "a": {"b": 1}\n}')
    with pytest.raises(UserError, match="MW-201"):
        read("jsonl", tmp_path / "a.json")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "a"', "bad-json"),
        (b"text", "bad-json"),
        (b"[1, 2]", "not-an-object"),
        (b'"text"', "not-an-object"),
        (b'{"text": "caf\xe9"}', "undecodable"),
        (b'{"n": ' + b"9" * 5000 + b"}", "bad-json"),
        (b"[" * 100_000, "bad-json"),
    ],
)
def test_a_damaged_line_is_set_aside_with_its_place(read, tmp_path, line, reason):
    good_line = '{"text": "你好"}\n'.encode()
    (tmp_path / "a.jsonl").write_bytes(good_line * 2 + line + b"\n" + good_line)
    good, broken = read("jsonl", tmp_path / "a.jsonl")
    assert len(good) == 3
    assert [(row.reason, row.number, row.line) for row in broken] == [(reason, 2, 3)]


def test_a_first_line_that_is_damaged_does_not_hide_the_others(read, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": \n{"a": 1}\n{"a": 2}\n')
    good, broken = read("jsonl", tmp_path / "a.jsonl")
    assert len(good) == 2
    assert [row.line for row in broken] == [1]


def test_a_damaged_element_of_an_array_is_set_aside(read, tmp_path):
    (tmp_path / "a.json").write_text('[\n{"a": 1},\n{"a": oops},\n{"a": 3}\n]\n')
    good, broken = read("jsonl", tmp_path / "a.json")
    assert [row.values["a"] for row in good] == [1, 3]
    assert [(row.reason, row.line) for row in broken] == [("bad-json", 3)]


def test_an_array_that_is_cut_short_stops_the_run(read, tmp_path):
    (tmp_path / "a.json").write_text('[\n{"a": 1},\n{"a": 2},\n')
    with pytest.raises(UserError, match="ends inside its array"):
        read("jsonl", tmp_path / "a.json")


def test_half_an_emoji_and_zero_characters_are_repaired(read, tmp_path):
    lines = [r'{"t": "a\ud83d"}', r'{"t": "a\u0000b"}', r'{"t": "\ud83d\ude00"}', '{"t": "c\0"}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    good, broken = read("jsonl", tmp_path / "a.jsonl")
    assert [row.values["t"] for row in good] == ["a\ufffd", "ab", "😀", "c"]
    assert [row.repairs for row in good] == [
        ("lone-surrogate",),
        ("nul-bytes",),
        (),
        ("nul-bytes",),
    ]
    assert broken == []


def test_an_empty_file_is_an_error(read, tmp_path):
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(UserError, match="MW-203"):
        read("jsonl", tmp_path / "a.jsonl")


def test_a_large_array_is_read_in_bounded_memory(open_as, tmp_path):
    with (tmp_path / "a.json").open("w") as file:
        file.write("[" + ",\n".join(json.dumps({"text": "x" * 500, "n": n}) for n in range(20_000)))
        file.write("]")
    tracemalloc.start()
    assert sum(1 for _ in open_as("jsonl", tmp_path / "a.json").rows()) == 20_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8e6


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(
        st.dictionaries(st.sampled_from(["a", "b", "c"]), JSON, min_size=1), min_size=1, max_size=6
    ),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
)
def test_arrays_and_lines_give_the_rows_that_were_written(
    tmp_path_factory, rows, indent, ascii_only
):
    rows = json.loads(json.dumps(rows).replace("\\u0000", ""))
    folder = tmp_path_factory.mktemp("json")
    (folder / "a.json").write_text(json.dumps(rows, indent=indent, ensure_ascii=ascii_only))
    (folder / "b.jsonl").write_text(
        "\n".join(json.dumps(row, ensure_ascii=ascii_only) for row in rows), encoding="utf-8"
    )
    plug = plugs.load("source", "jsonl")
    for name in ("a.json", "b.jsonl"):
        source = plug.cls(str(folder / name), plug.config(encoding="utf-8"))
        assert [row.values for row in source.rows()] == rows


def test_real_spans_and_squad_articles_are_read(read, data):
    good, broken = read("jsonl", data / "pii_synthetic" / "dev.jsonl")
    assert len(good) == 150
    assert broken == []
    assert {"start", "end", "label"} <= good[0].values["spans"][0].keys()
    articles, _ = read("jsonl", data / "squad_dev" / "dev-v1.1.json.gz")
    assert len(articles) == 48
