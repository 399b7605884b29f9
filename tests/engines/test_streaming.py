"""Offline prediction over files: every row accounted for, killed and resumed without a trace."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from modelwright.engines import _streaming
from modelwright.engines._streaming import Options, predict_file
from modelwright.errors import UserError
from modelwright.testing.doubles import FakeBundle, fake_image

SOURCE = Path(__file__).parents[2] / "src"
BUNDLE = FakeBundle()


def write_csv(path: Path, rows: list[list[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def labels(*texts: str) -> list[str]:
    return [answer["label"] for answer in BUNDLE.predict(list(texts))]


def code(error: pytest.ExceptionInfo[UserError]) -> str:
    return error.value.problem.code


# -- rows -----------------------------------------------------------------------------------------
def test_rows_keep_their_order_and_columns_and_gain_the_answer(tmp_path: Path):
    rows = [["id", "question"], [1, 'with, "quotes"'], [2, "two\nlines"], [3, "中文😀"]]
    source = write_csv(tmp_path / "in.csv", rows)
    totals = predict_file(BUNDLE, str(source), str(tmp_path / "out.csv"))
    found = read_csv(tmp_path / "out.csv")
    assert [row["question"] for row in found] == [row[1] for row in rows[1:]]
    assert [row["label"] for row in found] == labels(*(row[1] for row in rows[1:]))
    assert list(found[0]) == ["id", "question", "label", "score"]
    assert (totals.rows, totals.predicted, totals.rejected) == (3, 3, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_a_column_of_the_users_is_never_overwritten(tmp_path: Path):
    source = write_csv(tmp_path / "in.csv", [["text", "label"], ["hello", "mine"]])
    predict_file(BUNDLE, str(source), str(tmp_path / "out.csv"))
    [row] = read_csv(tmp_path / "out.csv")
    assert (row["label"], row["predicted_label"]) == ("mine", labels("hello")[0])
    predict_file(BUNDLE, str(tmp_path / "out.csv"), str(tmp_path / "again.csv"))
    assert list(read_csv(tmp_path / "again.csv")[0])[-1] == "predicted_2_score"


def test_bad_rows_are_set_aside_with_line_and_reason(tmp_path: Path):
    source = tmp_path / "in.csv"
    source.write_bytes(
        b'id,text\n1,good\n2,\n3,bad \xff byte\n4,a,b\n5,"two\nlines"\n6,   \n7,good\n'
    )
    totals = predict_file(BUNDLE, str(source), str(tmp_path / "out.csv"))
    assert [row["id"] for row in read_csv(tmp_path / "out.csv")] == ["1", "5", "7"]
    lines = (tmp_path / "out.csv.rejected.jsonl").read_text().splitlines()
    rejected = {row["line"]: row["reason"] for row in map(json.loads, lines)}
    assert list(rejected) == [3, 4, 5, 8]
    assert "empty" in rejected[3]
    assert "encoding" in rejected[4]
    assert "3 fields" in rejected[5]
    assert totals.rows == totals.predicted + totals.rejected == 7
    assert totals.as_dict()["in"] == 7


def test_a_stray_quote_costs_its_own_line_and_none_after_it(tmp_path: Path):
    """Else it swallows the rows up to the next quote, or to the end of the file."""
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text('text,n\na,1\n"b,2\nc,3\n"two\nlines",4\n"so" it goes,5\nd,6\n"e,7\nf,8\n')
    totals = predict_file(BUNDLE, str(source), str(out))
    found = [row["text"] for row in read_csv(out)]
    assert found == ["a", "c", "two\nlines", "so it goes", "d", "f"]
    assert (totals.rows, totals.predicted, totals.rejected) == (8, 6, 2)
    told = (tmp_path / "out.csv.rejected.jsonl").read_text()
    rejected = [json.loads(line) for line in told.splitlines()]
    assert [row["line"] for row in rejected] == [3, 9]
    assert rejected[0]["reason"] == "not csv: a quote that does not close"


def test_a_file_with_one_column_is_not_swallowed_either(tmp_path: Path):
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text('text\n"a\n' + "b\n" * 2000)
    totals = predict_file(BUNDLE, str(source), str(out))
    assert (totals.rows, totals.predicted, totals.rejected) == (2001, 2000, 1)


def test_what_the_model_fails_on_is_set_aside_and_the_rest_answered(tmp_path: Path):
    bundle = FakeBundle(fails=lambda text: "poison" in text)
    source = write_csv(
        tmp_path / "in.csv",
        [["text"], *([f"poison {n}" if n in (3, 40) else f"text {n}"] for n in range(50))],
    )
    totals = predict_file(bundle, str(source), str(tmp_path / "out.csv"))
    assert (totals.predicted, totals.rejected) == (48, 2)
    with pytest.raises(RuntimeError):
        predict_file(FakeBundle(fails=lambda text: True), str(source), str(tmp_path / "none.csv"))


@pytest.mark.parametrize(
    "name", ["out.csv", "out.tsv", "out.jsonl", "out.parquet", "out.csv.gz", "out.jsonl.gz"]
)
def test_every_format_reads_what_every_format_wrote(name: str, tmp_path: Path):
    texts = ["plain", "with\ttab, comma", '"quotes"', "中文"]
    source = write_csv(
        tmp_path / "in.csv", [["id", "text"], *([n, text] for n, text in enumerate(texts))]
    )
    predict_file(BUNDLE, str(source), str(tmp_path / name))
    predict_file(BUNDLE, str(tmp_path / name), str(tmp_path / "back.jsonl"))
    rows = [json.loads(line) for line in (tmp_path / "back.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == texts
    assert (
        [row["label"] for row in rows] == [row["predicted_label"] for row in rows] == labels(*texts)
    )


def test_json_lines_keep_types_and_may_differ_in_keys(tmp_path: Path):
    source = tmp_path / "in.jsonl"
    source.write_text(
        '{"text": "a", "n": 1, "deep": {"x": "\\ud800"}}\n"bare"\n\n{"text": 5}\n'
        '[1]\n{"text": nul}\n{"other": 1}\n'
    )
    totals = predict_file(BUNDLE, str(source), str(tmp_path / "out.jsonl"))
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows[0]["n"] == 1
    assert rows[0]["deep"] == {"x": "\ud800"}
    assert [row["label"] for row in rows] == labels("a", "bare", "5")
    assert (totals.rows, totals.rejected) == (6, 3)
    predict_file(BUNDLE, str(source), str(tmp_path / "out.csv"))
    assert list(read_csv(tmp_path / "out.csv")[0]) == [
        "text",
        "n",
        "deep",
        "other",
        "label",
        "score",
    ]


def test_parquet_keeps_its_types(tmp_path: Path):
    import datetime as dt

    import pyarrow as pa
    from pyarrow import parquet

    day = dt.date(2024, 2, 29)
    table = pa.table(
        {"text": ["a", None, "b"], "day": [day] * 3, "n": pa.array([1, 2, 3], pa.int16())}
    )
    parquet.write_table(table, tmp_path / "in.parquet")
    totals = predict_file(BUNDLE, str(tmp_path / "in.parquet"), str(tmp_path / "out.parquet"))
    found = parquet.read_table(tmp_path / "out.parquet")
    assert found.schema.field("n").type == pa.int16()
    assert found["day"].to_pylist() == [day] * 2
    assert found["label"].to_pylist() == labels("a", "b")
    assert totals.rejected == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_usual_encodings_are_recognised(encoding: str, tmp_path: Path):
    (tmp_path / "in.csv").write_bytes("文本,编号\n银行卡丢了,1\n".encode(encoding))
    predict_file(BUNDLE, str(tmp_path / "in.csv"), str(tmp_path / "out.csv"))
    [row] = read_csv(tmp_path / "out.csv")
    assert (row["文本"], row["label"]) == ("银行卡丢了", labels("银行卡丢了")[0])


def test_windows_lines_semicolons_and_a_text_a_line(tmp_path: Path):
    (tmp_path / "in.csv").write_bytes(b"id;text\r\n1;a\r\n\r\n2;b\r\n")
    predict_file(BUNDLE, str(tmp_path / "in.csv"), str(tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").read_text().startswith("id;text;label;score\n1;a;")
    (tmp_path / "in.txt").write_bytes(b"first\r\n\nsecond")
    totals = predict_file(BUNDLE, str(tmp_path / "in.txt"), str(tmp_path / "out2.csv"))
    assert [row["text"] for row in read_csv(tmp_path / "out2.csv")] == ["first", "second"]
    assert totals.rejected == 1


# -- tasks ----------------------------------------------------------------------------------------
def test_bars_delimit_as_they_do_in_training(tmp_path: Path):
    source = tmp_path / "in.csv"
    source.write_text("id|text\n1|hello\n")
    predict_file(BUNDLE, str(source), str(tmp_path / "out.jsonl"))
    row = json.loads((tmp_path / "out.jsonl").read_text())
    assert (row["id"], row["text"], row["label"]) == ("1", "hello", labels("hello")[0])


def test_pairs_entities_numbers_and_images(tmp_path: Path):
    import base64

    pairs = write_csv(tmp_path / "pairs.csv", [["sentence1", "sentence2"], ["a", "b"], ["c", ""]])
    regression = FakeBundle(task="text-regression", pair=True)
    assert predict_file(regression, str(pairs), str(tmp_path / "o1.csv")).rejected == 1
    expected = regression.predict([{"text": "a", "text_pair": "b"}])[0]["value"]
    assert float(read_csv(tmp_path / "o1.csv")[0]["value"]) == expected

    tagger = FakeBundle(task="token-classification")
    texts = write_csv(tmp_path / "texts.csv", [["text"], ["Ada saw Paris"]])
    predict_file(tagger, str(texts), str(tmp_path / "o2.csv"))
    entities = json.loads(read_csv(tmp_path / "o2.csv")[0]["entities"])
    assert entities == tagger.predict(["Ada saw Paris"])[0]["entities"]

    words = tmp_path / "words.jsonl"
    words.write_text(json.dumps({"tokens": ["Ada", "saw", "Paris"]}) + "\n")
    assert predict_file(tagger, str(words), str(tmp_path / "o3.jsonl")).predicted == 1

    (tmp_path / "a.png").write_bytes(base64.b64decode(fake_image(3)))
    (tmp_path / "broken.png").write_bytes(b"no image")
    images = write_csv(
        tmp_path / "images.csv", [["image"], ["a.png"], ["none.png"], ["broken.png"]]
    )
    pictures = FakeBundle(task="image-classification")
    totals = predict_file(pictures, str(images), str(tmp_path / "o4.csv"))
    assert (totals.predicted, totals.rejected) == (1, 2)

    several = FakeBundle(multi_label=True)
    predict_file(several, str(texts), str(tmp_path / "o5.csv"))
    assert read_csv(tmp_path / "o5.csv")[0]["labels"] == "|".join(
        several.predict(["Ada saw Paris"])[0]["labels"]
    )


@pytest.mark.parametrize("name", ["folder", "in.csv/out.csv"])
def test_what_stands_in_the_way_of_the_output_is_told_before_any_work(name: str, tmp_path: Path):
    source = write_csv(tmp_path / "in.csv", [["text"], ["x"]])
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError) as caught:
        predict_file(BUNDLE, str(source), str(tmp_path / name))
    assert code(caught) == "MW-802"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "in.csv"]


# -- columns --------------------------------------------------------------------------------------
def test_the_column_is_the_one_asked_for_then_the_trained_one_then_a_usual_one(tmp_path: Path):
    source = write_csv(tmp_path / "in.csv", [["ticket", "body", "text"], ["t", "b", "x"]])

    def answered(bundle: FakeBundle, *columns: str) -> str:
        predict_file(bundle, str(source), str(tmp_path / "out.csv"), Options(columns))
        return read_csv(tmp_path / "out.csv")[0]["label"]

    trained = FakeBundle(name="trained")
    trained.manifest["input"] = {**trained.manifest["input"], "x-columns": {"text": "ticket"}}
    assert [answered(trained, "body"), answered(trained), answered(BUNDLE)] == labels("b", "t", "x")
    alone = write_csv(tmp_path / "alone.csv", [["whatever"], ["w"]])
    predict_file(BUNDLE, str(alone), str(tmp_path / "out.csv"))
    assert read_csv(tmp_path / "out.csv")[0]["label"] == labels("w")[0]


def test_no_known_column_is_told_with_the_columns_seen(tmp_path: Path):
    source = write_csv(tmp_path / "in.csv", [["ticket", "when"], ["t", "now"]])
    with pytest.raises(UserError) as caught:
        predict_file(BUNDLE, str(source), str(tmp_path / "out.csv"))
    assert code(caught) == "MW-606"
    assert "ticket, when" in caught.value.problem.seen
    assert "--column" in caught.value.problem.fix
    with pytest.raises(UserError) as caught:
        predict_file(BUNDLE, str(source), str(tmp_path / "out.csv"), Options(("tiket",)))
    assert "`ticket`" in caught.value.problem.fix
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_files_that_cannot_be_read_are_told(tmp_path: Path):
    out = str(tmp_path / "out.csv")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "data.bin").write_bytes(b"abc")
    (tmp_path / "bad.csv").write_bytes(b"text\n" + bytes(range(128, 256)) * 20)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not")
    expected = {"none.csv": "MW-804", "empty.csv": "MW-804", "data.bin": "MW-804",
                "bad.csv": "MW-206", "bad.parquet": "MW-804", ".": "MW-804"}  # fmt: skip
    for name, wanted in expected.items():
        with pytest.raises(UserError) as caught:
            predict_file(BUNDLE, str(tmp_path / name), out)
        assert code(caught) == wanted, name
    with pytest.raises(UserError, match="MW-805"):
        predict_file(BUNDLE, out, out)


# -- killed and resumed ---------------------------------------------------------------------------
PROGRAM = """
import sys
from modelwright.engines._streaming import predict_file
from modelwright.testing.doubles import FakeBundle
bundle = FakeBundle(seconds=float(sys.argv[3]), fails=lambda text: text.endswith("#77"))
print(predict_file(bundle, sys.argv[1], sys.argv[2]).resumed_from)
"""


def big_file(folder: Path, rows: int = 20_000) -> Path:
    lines = ([n, "" if n % 997 == 0 else f'text "{n % 7919}",\n#{n}'] for n in range(rows))
    return write_csv(folder / "big.csv", [["id", "text"], *lines])


def start(source: Path, target: Path, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(source), str(target), str(seconds)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "rows"), [("out.csv", 20_000), ("out.jsonl.gz", 8000), ("out.parquet", 8000)]
)
def test_a_killed_prediction_resumes_to_the_same_bytes(name: str, rows: int, tmp_path: Path):
    source = big_file(tmp_path, rows)
    bundle = FakeBundle(fails=lambda text: text.endswith("#77"))
    whole = predict_file(bundle, str(source), str(tmp_path / f"whole-{name}"))
    bad = len(range(0, rows, 997)) + 1
    assert (whole.predicted, whole.rejected) == (rows - bad, bad)

    target = tmp_path / name
    journal = tmp_path / f"{name}.partial.json"
    process = start(source, target, seconds=0.1)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if journal.is_file() and json.loads(journal.read_text())["rows"] >= 4096:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not target.exists()
    with (tmp_path / f"{name}.partial").open("ab") as file:
        file.write(b"half a row that the kill left behin")

    resumed = predict_file(bundle, str(source), str(target))
    assert 4096 <= resumed.resumed_from < rows
    assert resumed.as_dict()["predicted"] == whole.predicted
    assert target.read_bytes() == (tmp_path / f"whole-{name}").read_bytes()
    rejected = [path.read_bytes() for path in sorted(tmp_path.glob("*.rejected.jsonl"))]
    assert len(rejected) == 2
    assert rejected[0] == rejected[1]
    assert not list(tmp_path.glob("*.partial*"))


def test_another_job_does_not_go_on_from_these_leftovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(_streaming.WINDOW_ROWS, "text", 10)
    source = write_csv(
        tmp_path / "in.csv", [["text", "body"], *([f"t{n}", f"b{n}"] for n in range(50))]
    )
    target = str(tmp_path / "out.csv")
    stopping = FakeBundle(fails=lambda text: text in {f"t{n}" for n in range(20, 30)})
    with pytest.raises(RuntimeError):
        predict_file(stopping, str(source), target)
    assert predict_file(BUNDLE, str(source), target, Options(("body",))).resumed_from == 0
    with pytest.raises(RuntimeError):
        predict_file(stopping, str(source), target)
    assert predict_file(BUNDLE, str(source), target).resumed_from == 20
    with pytest.raises(RuntimeError):
        predict_file(stopping, str(source), target)
    write_csv(source, [["text"], ["changed"]])
    assert predict_file(BUNDLE, str(source), target).resumed_from == 0
    assert read_csv(tmp_path / "out.csv")[0]["text"] == "changed"


def test_two_processes_do_not_write_the_same_file(tmp_path: Path):
    source = big_file(tmp_path, 5000)
    process = start(source, tmp_path / "out.csv", seconds=1.0)
    try:
        while not (tmp_path / "out.csv.partial.json").is_file():
            time.sleep(0.01)
        with pytest.raises(UserError, match="MW-803"):
            predict_file(BUNDLE, str(source), str(tmp_path / "out.csv"))
    finally:
        process.kill()
        process.communicate()


def test_memory_does_not_grow_with_the_file(tmp_path: Path):
    """The peak for ten times the rows is the same within a few MB."""
    import tracemalloc

    def peak(rows: int) -> int:
        source = write_csv(
            tmp_path / f"{rows}.csv", [["text"], *([f"row {n} " * 10] for n in range(rows))]
        )
        tracemalloc.start()
        predict_file(BUNDLE, str(source), str(tmp_path / f"{rows}-out.csv"))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(16_000) < peak(4_000) + 4_000_000


# -- standard streams -----------------------------------------------------------------------------
@pytest.mark.parametrize("given", [b"first\nsecond\n", b'{"text": "first"}\n{"text": "second"}\n'])
def test_standard_input_to_standard_output(given: bytes):
    program = (
        "from modelwright.engines._streaming import predict_file\n"
        "from modelwright.testing.doubles import FakeBundle\n"
        "predict_file(FakeBundle(), '-', '-')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=given, capture_output=True, check=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    text = done.stdout.decode()
    found = (
        [json.loads(line) for line in text.splitlines()]
        if given[:1] == b"{"
        else list(csv.DictReader(io.StringIO(text)))
    )
    assert [row["label"] for row in found] == labels("first", "second")


def test_a_gzip_that_is_cut_short_is_told_and_can_go_on(tmp_path: Path):
    rows = [["text"], *([f"text {n}"] for n in range(9000))]
    whole = gzip.compress(write_csv(tmp_path / "in.csv", rows).read_bytes())
    (tmp_path / "in.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="MW-804"):
        predict_file(BUNDLE, str(tmp_path / "in.csv.gz"), str(tmp_path / "out.csv"))
