"""What holds for every source, whoever wrote it."""

from __future__ import annotations

import inspect
import io
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from modelwright import plugs
from modelwright.data.sources import BrokenRow, RawRow, Source
from modelwright.errors import UserError

NAMES = plugs.names("source")


def _text(name: str, content: str) -> Callable[[Path, str], str]:
    """Two rows or three, in one text file."""

    def write(folder: Path, extra: str) -> str:
        (folder / name).write_text(content + extra)
        return str(folder / name)

    return write


def _parquet(folder: Path, extra: str) -> str:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"text": ["a", "b", *extra]}), folder / "a.parquet")
    return str(folder / "a.parquet")


def _idx(folder: Path, extra: str) -> str:
    pixel = extra.encode() or b"\0"
    (folder / "a-images-idx3-ubyte").write_bytes(
        b"\0\0\x08\x03" + bytes([0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1]) + b"\1" + pixel[:1]
    )
    (folder / "a-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\2\0\1")
    return str(folder / "a-images-idx3-ubyte")


def _imagefolder(folder: Path, extra: str) -> str:
    image = pytest.importorskip("PIL.Image")
    out = io.BytesIO()
    image.new("RGB", (3, 3), (len(extra), 0, 0)).save(out, "PNG")
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for name in ("cat/1.png", "dog/2.png"):
            archive.writestr(zipfile.ZipInfo(name), out.getvalue())
    return str(folder / "a.zip")


def _sql(folder: Path, extra: str) -> str:
    pytest.importorskip("sqlalchemy")
    file = folder / "a.db"
    file.unlink(missing_ok=True)
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE t (text TEXT)")
    connection.executemany("INSERT INTO t VALUES (?)", [("a",), ("b",), *((x,) for x in extra)])
    connection.commit()
    connection.close()
    return f"sql://sqlite:///{file}?query=SELECT text FROM t ORDER BY rowid"


def _hub(folder: Path, extra: str) -> str:
    pytest.importorskip("datasets")
    (folder / "set").mkdir(exist_ok=True)
    (folder / "set" / "train.csv").write_text(
        "text,label\na,0\nb,1\n" + "".join(f"{x},1\n" for x in extra)
    )
    return f"hf://{folder}/set"


EXAMPLES: dict[str, Callable[[Path, str], str]] = {
    "csv": _text("a.csv", "text,label\na,x\nb,y\n"),
    "tsv": _text("a.tsv", "text\tlabel\na\tx\nb\ty\n"),
    "jsonl": _text("a.jsonl", '{"text": "a"}\n{"text": "b"}\n'),
    "text": _text("a.txt", "one\ntwo\n"),
    "conll": _text("a.conll", "a\tO\n\nb\tB-X\n"),
    "parquet": _parquet,
    "idx": _idx,
    "imagefolder": _imagefolder,
    "sql": _sql,
    "hub": _hub,
}
MISSING = {
    "sql": "sql://sqlite:////nowhere/a.db?query=SELECT 1",
    "hub": "hf:///nowhere/set",
}


@pytest.fixture(autouse=True)
def _own_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if "hub" in request.node.name:
        config = pytest.importorskip("datasets.config")
        monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path / "cache")


def _open(name: str, location: str, **options: Any) -> Source:
    plug = plugs.load("source", name)
    return plug.cls(location, plug.config(**options))


def test_every_source_has_an_example_here():
    assert sorted(EXAMPLES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_source_is_documented_and_strict(name):
    plug = plugs.load("source", name)
    summary = plugs.summary("source", name)
    assert summary.endswith((".", "."))
    assert len(summary) < 100
    assert len((plug.module.__doc__ or "").splitlines()) > 3
    assert plug.version >= 1
    assert issubclass(plug.config, BaseModel)
    assert plug.config.model_config.get("frozen")
    assert plug.config.model_config.get("strict")
    assert all(field.description for field in plug.config.model_fields.values())
    assert getattr(plug.cls, "__final__", False)
    assert inspect.getmro(plug.cls)[1] is Source
    with pytest.raises(ValidationError):
        plug.config(no_such_option=1)


@pytest.mark.parametrize("name", NAMES)
def test_rows_come_in_the_same_order_twice_numbered_from_zero(name, tmp_path):
    location = EXAMPLES[name](tmp_path, "")
    source = _open(name, location)
    first, second = list(source.rows()), list(_open(name, location).rows())
    assert first == second == list(source.rows())
    assert [row.number for row in first] == list(range(len(first)))
    assert len(first) == 2
    assert all(isinstance(row, RawRow | BrokenRow) and row.file for row in first)


@pytest.mark.parametrize("name", NAMES)
def test_columns_are_the_keys_of_the_rows(name, tmp_path):
    source = _open(name, EXAMPLES[name](tmp_path, ""))
    rows = [row for row in source.rows() if isinstance(row, RawRow)]
    assert list(rows[0].values) == source.columns()


@pytest.mark.parametrize("name", NAMES)
def test_the_fingerprint_changes_exactly_with_the_content(name, tmp_path):
    first, copy, other = (tmp_path / each for each in ("first", "copy", "other"))
    for folder in (first, copy, other):
        folder.mkdir()
    before = _open(name, EXAMPLES[name](first, "")).fingerprint()
    assert _open(name, EXAMPLES[name](first, "")).fingerprint() == before
    assert _open(name, EXAMPLES[name](copy, "")).fingerprint() == before
    assert _open(name, EXAMPLES[name](other, "c")).fingerprint() != before


@pytest.mark.parametrize("name", NAMES)
def test_its_own_location_is_claimed_more_surely_than_by_others(name, tmp_path):
    from modelwright.data.sources._opening import recognise

    location = EXAMPLES[name](tmp_path, "")
    assert recognise(location) == name
    claims = [plugs.load("source", each).cls.claims(location) for each in NAMES]
    assert all(0 <= claim <= 1 for claim in claims)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_location_is_a_clear_error_with_a_fix(name, tmp_path):
    source = _open(name, MISSING.get(name, str(tmp_path / "absent")))
    for use in (source.columns, source.fingerprint, lambda: list(source.rows())):
        with pytest.raises(UserError) as caught:
            use()
        assert caught.value.problem.code in ("MW-107", "MW-201")
        assert caught.value.problem.fix
        assert caught.value.problem.expected
