"""`mw new`: what it sees in data, and that the recipe it writes passes the check."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from modelwright.cli import main
from modelwright.pipeline.inspection.columns import ColumnFacts, kind_of
from modelwright.pipeline.inspection.draft import name_of
from modelwright.pipeline.inspection.looking import look
from modelwright.pipeline.inspection.splits import find_splits, role_of
from modelwright.recipe.check import check

SHARED = Path(
    os.environ.get("MODELWRIGHT_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")
)
ENGLISH = ["the", "of", "and", "to", "in", "is", "that", "it", "was", "for", "card", "order"]
CHINESE = "我的卡还没有到请帮我看看这个订单什么时候能送到谢谢你们的服务很好"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _english(source: random.Random, words: int = 12) -> str:
    return " ".join(source.choice(ENGLISH) for _ in range(words))


def _table(path: Path, header: str, rows: list[str], encoding: str = "utf-8") -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", encoding=encoding)


def _new(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main.run(["new", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


SETS = [
    ("banking77", "text-classification", {"text": "text", "label": "label"}, "en"),
    ("conll2003", "token-classification", {"tokens": "tokens", "tags": "tags"}, "en"),
    ("sst2", "text-classification", {"text": "text", "label": "label"}, "en"),
    ("waimai_10k", "text-classification", {"text": "text", "label": "label"}, "zh"),
    ("fashion_mnist", "image-classification", {"image": "image", "label": "label"}, ""),
    (
        "stsb",
        "text-regression",
        {"text": "sentence1", "text_pair": "sentence2", "target": "score"},
        "en",
    ),
    (
        "pawsx/en",
        "text-classification",
        {"text": "sentence1", "text_pair": "sentence2", "label": "label"},
        "en",
    ),
    ("cifar10_subset", "image-classification", {"image": "image", "label": "label"}, ""),
    ("resume_ner", "token-classification", {"tokens": "tokens", "tags": "tags"}, "zh"),
    ("pii_synthetic", "token-classification", {"text": "text", "spans": "spans"}, "en"),
]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
@pytest.mark.parametrize(("name", "task", "columns", "language"), SETS, ids=[s[0] for s in SETS])
def test_real_data_is_recognised_and_its_recipe_passes(
    name: str, task: str, columns: dict[str, str], language: str, folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    code, seen = _new(capsys, str(SHARED / name))
    assert code == 0
    assert (seen["task"], seen["columns"], seen["language"]) == (task, columns, language)
    assert {"train", "test"} <= seen["splits"].keys()
    assert seen["doubts"] == []
    recipe = check(folder / "recipe.yaml")
    assert recipe.task.name == task
    assert recipe.data.columns == columns


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
def test_a_folder_of_data_sets_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    code, error = _new(capsys, str(SHARED / "pawsx"))
    assert code == 2
    assert "pawsx/zh" in error["error"]["problems"][0]["fix"]


def test_a_chinese_table_in_gbk(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = random.Random(0)
    rows = [
        f"{i};{''.join(source.choices(CHINESE, k=15))};{source.choice(['退款', '物流', '质量'])}"
        for i in range(200)
    ]
    _table(folder / "反馈.csv", "编号;反馈内容;问题类型", rows, "gbk")
    code, seen = _new(capsys, "反馈.csv")
    assert code == 0
    assert seen["columns"] == {"text": "反馈内容", "label": "问题类型"}
    assert seen["language"] == "zh"
    assert "Not sure: `问题类型` is taken for the label" in (folder / "recipe.yaml").read_text()


def test_the_text_is_found_among_other_columns(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = random.Random(0)
    rows = [
        f"{i},2024-01-{i % 28 + 1:02},{_english(source, 3)},{_english(source)},"
        f"{source.choice(['billing', 'tech', 'sales'])}"
        for i in range(200)
    ]
    _table(folder / "tickets.csv", "id,created,subject,body,queue", rows)
    _, seen = _new(capsys, "tickets.csv")
    assert seen["columns"] == {"text": "body", "label": "queue"}
    assert "`created`" in seen["doubts"][0]


def test_several_labels_a_row(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = random.Random(0)
    rows = [
        f"{_english(source)},{'|'.join(sorted(source.sample('abcd', source.randint(1, 3))))}"
        for _ in range(200)
    ]
    _table(folder / "multi.csv", "comment,topics", rows)
    _, seen = _new(capsys, "multi.csv")
    assert seen["options"] == {"multi_label": True, "separator": "|"}
    assert set(seen["labels"]) == {"a", "b", "c", "d"}


def test_whole_numbers_are_classes_with_a_doubt_and_numbers_when_asked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = random.Random(0)
    rows = [f"{_english(source)},{source.randint(1, 5)}" for _ in range(200)]
    _table(folder / "ratings.csv", "review,stars", rows)
    _, seen = _new(capsys, "ratings.csv")
    assert seen["task"] == "text-classification"
    assert "text-regression" in seen["doubts"][0]
    _, seen = _new(capsys, "ratings.csv", "--task", "text-regression", "--force")
    assert seen["columns"] == {"text": "review", "target": "stars"}


def test_shards_and_missing_splits(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = random.Random(0)
    for shard in range(3):
        rows = [f"{_english(source)},{source.choice('ab')}" for _ in range(20)]
        _table(folder / "set" / f"train-0{shard}.csv", "text,label", rows)
    _table(folder / "set" / "valid.csv", "text,label", ["x y,a"])
    (folder / "set" / "README.md").write_text("about")
    _, seen = _new(capsys, "set")
    assert seen["rows"] == 60
    splits = check(folder / "recipe.yaml").data.splits
    assert (splits.train, splits.validation, splits.test) == (
        "set/train-*.csv",
        "set/valid.csv",
        0.1,
    )


def test_paths_are_written_relative_to_the_recipe(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = random.Random(0)
    rows = [f"{_english(source)},{source.choice('ab')}" for _ in range(20)]
    _table(folder / "rows.csv", "text,label", rows)
    (folder / "recipes").mkdir()
    code, _ = _new(capsys, "rows.csv", "-o", "recipes/a.yaml")
    assert code == 0
    assert check("recipes/a.yaml").data.source == "../rows.csv"


def test_a_recipe_is_not_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "recipe.yaml").write_text("mine")
    code, error = _new(capsys, "anything.csv")
    assert code == 2
    assert "--force" in error["error"]["problems"][0]["fix"]
    assert (folder / "recipe.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("content", "code"),
    [("x,y\n" + "a b c,d e f\n" * 0 + "a b,c d\ne f,g h\n", "MW-202"), ("", "MW-2")],
)
def test_data_without_a_label_says_which_columns_there_are(
    folder: Path, content: str, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "rows.csv").write_text(content)
    exit_code, error = _new(capsys, "rows.csv")
    assert exit_code == 2
    assert error["error"]["problems"][0]["code"].startswith(code)
    assert not (folder / "recipe.yaml").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text,label\n", "no rows that can be read, only the columns text, label"),
        ("text,label\na b,spam\nc d,spam\n", "label (text, always `spam`)"),
    ],
)
def test_data_that_teaches_nothing_is_told_why(
    folder: Path, content: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "rows.csv").write_text(content)
    exit_code, error = _new(capsys, "rows.csv")
    assert exit_code == 2
    assert said in error["error"]["problems"][0]["seen"]


def test_missing_labels_and_a_second_label_are_doubts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["hello you,a,x", "bye then,b,y", "who knows,,x"] * 10
    _table(folder / "rows.csv", "text,label,category", rows)
    assert main.run(["new", "rows.csv"]) == 0
    recipe = (folder / "recipe.yaml").read_text()
    assert "`label` is taken for the label by its name; it could also be `category`" in recipe
    assert "`label` is empty in 10 of 30 rows; a run stops there unless" in recipe


def test_a_wrong_name_is_told_with_the_nearest(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "tickets.csv").write_text("text,label\n")
    code, error = _new(capsys, "tickets.cvs")
    assert code == 2
    assert "did you mean `tickets.csv`?" in error["error"]["problems"][0]["fix"]
    code, error = _new(capsys, "tickets.csv", "--task", "text-clasification")
    assert "did you mean" in error["error"]["problems"][0]["fix"]


def test_people_are_told_what_was_seen(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _table(folder / "rows.csv", "text,label", ["hello you,a", "bye then,b"] * 10)
    assert main.run(["new", "rows.csv"]) == 0
    shown = capsys.readouterr().out
    assert "task text-classification: text = text, label = label" in shown
    assert "rows by class: a: 10, b: 10" in shown
    assert "next: mw plan recipe.yaml" in shown


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("train.csv", "train"), ("train10k-images-idx3-ubyte.gz", "train"), ("eng.train", "train"),
        ("my_train_set.jsonl", "train"), ("dev.conll", "validation"), ("valid", "validation"),
        ("val.csv.gz", "validation"), ("eng.testa", "validation"), ("eng.testb", "test"),
        ("test_2016.csv", "test"), ("t10k-images-idx3-ubyte", "test"), ("训练集.csv", "train"),
        ("trainers.csv", None), ("latest.csv", None), ("value.csv", None), ("rows.csv", None),
    ],
)  # fmt: skip
def test_split_names(name: str, role: str | None) -> None:
    assert role_of(name) == role


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("3", "number"), ("-3.5", "number"), ("1e3", "number"), ("1_000", "text"), ("nan", "text"),
        ("", "missing"), (None, "missing"), (float("nan"), "missing"), (3, "number"),
        (True, "text"), ([], "list"),
        (["a"], "list"), ([{"start": 0, "end": 1, "label": "A"}], "spans"),
        (b"x", "bytes"), ({}, "other"), ("2024-01-01", "text"),
    ],
)  # fmt: skip
def test_kinds_of_values(value: object, kind: str) -> None:
    assert kind_of(value) == kind


def test_mixed_numbers_and_words_are_text() -> None:
    column = ColumnFacts("x")
    for value in ["1", "2", "three"]:
        column.add(value)
    assert column.kind == "text"


@pytest.mark.parametrize(
    ("location", "name"),
    [("a/b/train.csv", "b"), ("tickets.csv.gz", "tickets"), ("hf://stanford/imdb", "imdb"),
     ("反馈.csv", "my-run"), ("data/train", "my-run"), ("My Data (1).csv", "my-data-1"),
     ("./", "my-run"), ("train10k.csv", "train10k")],
)  # fmt: skip
def test_a_name_for_the_run(location: str, name: str) -> None:
    assert name_of(location) == name


def test_a_single_split_file_names_its_siblings(folder: Path) -> None:
    for name in ("train.csv", "test.csv"):
        _table(folder / name, "text,label", ["hello you,a", "bye then,b"] * 10)
    assert find_splits("train.csv").beside == ["test.csv"]
    assert look("train.csv").files.source == "train.csv"
