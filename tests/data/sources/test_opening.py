"""`format: auto` finds the format by name and content; errors say what was looked at."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zipfile

import pytest

from modelwright.data.sources._opening import open_source, recognise
from modelwright.errors import RecipeError, UserError

CONLL = "EU\tB-ORG\nrejects\tO\n\nPeter\tB-PER\nsaid\tO\n\n"
CSV = "text,label\nwhere is my card,a\nI lost it,b\n"
JSON = '{"text": "a"}\n{"text": "b"}\n'


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("a.csv", CSV, "csv"),
        ("A.CSV.GZ", CSV, "csv"),
        ("a.tsv", CSV, "tsv"),
        ("a.jsonl", JSON, "jsonl"),
        ("a.json", "[]", "jsonl"),
        ("a.conll", CONLL, "conll"),
        ("a.txt", "one sentence\nanother one, longer\n", "text"),
        ("a.txt", CONLL, "conll"),
        ("a.txt", CONLL.replace("\t", " "), "conll"),
        ("a.txt", CSV, "csv"),
        ("a.txt", JSON, "jsonl"),
        ("eng.train", CONLL, "conll"),
        ("noending", CSV, "csv"),
        ("noending", "only words\nand more words\n", "text"),
    ],
)
def test_text_formats_are_recognised(tmp_path, name, content, format):
    data = content.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.lower().endswith("gz") else data)
    assert recognise(str(tmp_path / name)) == format


def test_locations_with_a_scheme_of_their_own_are_recognised():
    assert recognise("hf://owner/name") == "hub"
    assert recognise("sql://sqlite:///x.db?query=SELECT 1") == "sql"


def test_binary_formats_are_recognised_by_their_first_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"PAR1....")
    (tmp_path / "b").write_bytes(b"\0\0\x08\x03" + bytes(12))
    assert recognise(str(tmp_path / "a")) == "parquet"
    assert recognise(str(tmp_path / "b")) == "idx"


def test_a_folder_is_what_most_of_its_files_are(tmp_path):
    for name in ("a.csv", "b.csv", "README.md", "labels.json"):
        (tmp_path / name).write_text(CSV)
    assert recognise(str(tmp_path)) == "csv"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"cat/{number}.jpg", b"x")
    assert recognise(str(tmp_path / "a.zip")) == "imagefolder"


def test_options_reach_the_source(tmp_path):
    (tmp_path / "a.csv").write_text(CSV)
    source = open_source(str(tmp_path / "a.csv"), options={"header": False})
    assert source.columns() == ["column_1", "column_2"]


def test_wrong_options_are_all_told_with_the_nearest_name(tmp_path):
    (tmp_path / "a.csv").write_text(CSV)
    with pytest.raises(RecipeError) as caught:
        open_source(str(tmp_path / "a.csv"), options={"delimeter": ";", "header": "yes"})
    problems = {problem.code: problem for problem in caught.value.problems}
    assert problems["MW-101"].fix == "did you mean `delimiter`?"
    assert "`header`" in problems["MW-102"].seen


def test_an_unknown_format_names_the_nearest(tmp_path):
    with pytest.raises(UserError, match=r"MW-105[\s\S]*did you mean `jsonl`"):
        open_source(str(tmp_path), "json")


def test_what_is_not_recognised_says_what_was_looked_at(tmp_path):
    (tmp_path / "a.bin").write_bytes(bytes(range(256)))
    with pytest.raises(
        UserError, match=r"MW-201[\s\S]*a\.bin[\s\S]*first bytes[\s\S]*data\.format"
    ):
        open_source(str(tmp_path / "a.bin"))


@pytest.mark.parametrize("location", ["trian.csv", "sub/train.csv", "*.parquet"])
def test_a_missing_file_names_what_is_there(tmp_path, location):
    (tmp_path / "train.csv").write_text(CSV)
    with pytest.raises(UserError, match=r"MW-107[\s\S]*train\.csv"):
        open_source(str(tmp_path / location))


def test_a_file_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text(CSV)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    source = open_source(str(tmp_path / "a.csv"))
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(
        UserError, match=r"MW-107 a\.csv: the file cannot be read: permission denied"
    ):
        source.columns()


def test_recognising_text_imports_no_heavy_library(tmp_path):
    (tmp_path / "a.csv").write_text(CSV)
    program = (
        "import sys\nfrom modelwright.data.sources._opening import open_source\n"
        f"assert len(list(open_source({str(tmp_path / 'a.csv')!r}).rows())) == 2\n"
        "heavy = {'numpy', 'pyarrow', 'fsspec', 'datasets', 'sqlalchemy', 'PIL', 'torch'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
