"""Parquet files keep their types and what they declare of classes."""

from __future__ import annotations

import datetime
import decimal
import json

import pytest

from modelwright.errors import UserError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def test_rows_keep_their_types(read, open_as, tmp_path):
    table = pa.table(
        {
            "tokens": [["a", "b"], ["c"]],
            "n": [1, None],
            "day": [datetime.date(2024, 1, 2), None],
            "price": [decimal.Decimal("1.50"), decimal.Decimal("2.00")],
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "image": [{"bytes": b"png", "path": None}, {"bytes": b"gif", "path": "a.gif"}],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    good, broken = read("parquet", tmp_path / "a.parquet")
    assert good[0].values == {
        "tokens": ["a", "b"],
        "n": 1,
        "day": "2024-01-02",
        "price": 1.5,
        "kind": "x",
        "image": b"png",
    }
    assert good[1].values["price"] == 2
    assert good[0].line is None
    assert broken == []
    assert open_as("parquet", tmp_path / "a.parquet").columns() == table.column_names


def test_a_folder_is_read_in_order_of_names_and_in_batches(read, tmp_path):
    for name, start in [("b", 50), ("a", 0)]:
        pq.write_table(
            pa.table({"n": list(range(start, start + 50))}), tmp_path / f"{name}.parquet"
        )
    good, _ = read("parquet", tmp_path, batch_rows=7)
    assert [row.values["n"] for row in good] == list(range(100))
    assert good[50].file == "b.parquet"


def test_columns_can_be_chosen_and_a_wrong_one_is_named(read, open_as, tmp_path):
    pq.write_table(pa.table({"text": ["a"], "label": [1]}), tmp_path / "a.parquet")
    assert read("parquet", tmp_path, columns=["label"])[0][0].values == {"label": 1}
    with pytest.raises(UserError, match=r"MW-202[\s\S]*did you mean `label`"):
        open_as("parquet", tmp_path, columns=["lable"]).columns()


def test_declared_class_names_are_kept(open_as, tmp_path):
    features = {
        "label": {"names": ["neg", "pos"], "_type": "ClassLabel"},
        "tags": {"feature": {"names": ["O", "B"], "_type": "ClassLabel"}, "_type": "List"},
        "text": {"dtype": "string", "_type": "Value"},
    }
    table = pa.table({"label": [1], "tags": [[0, 1]], "text": ["a"]})
    table = table.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    names = open_as("parquet", tmp_path / "a.parquet").label_names()
    assert names == {"label": ["neg", "pos"], "tags": ["O", "B"]}


def test_strings_that_are_no_utf8_set_their_row_aside(read, tmp_path):
    broken_text = pa.array([b"good", b"\xff\xfe", b"fine"]).view(pa.string())
    pq.write_table(pa.table({"text": broken_text}), tmp_path / "a.parquet")
    good, broken = read("parquet", tmp_path / "a.parquet")
    assert [row.values["text"] for row in good] == ["good", "fine"]
    assert [(row.reason, row.number) for row in broken] == [("undecodable", 1)]


@pytest.mark.parametrize("content", [b"", b"not parquet", b"PAR1 cut short"])
def test_a_damaged_file_is_an_error(read, tmp_path, content):
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(UserError, match=r"MW-201 a.parquet: the file is damaged"):
        read("parquet", tmp_path / "a.parquet")
