"""Recipe files: encodings, `--set`, environment variables, and files that are no recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelwright.errors import RecipeError
from modelwright.recipe.load import load
from modelwright.recipe.places import SET

RECIPE = """\
name: a
data:
  source: rows.csv
  clean: [normalize, {near-duplicates: {threshold: 0.8}}]
finetune:
  method: lora
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def _failure(path: Path | str) -> tuple[str, str, str]:
    with pytest.raises(RecipeError) as caught:
        load(path)
    [problem] = caught.value.problems
    assert problem.file == str(path)
    return problem.code, problem.seen, problem.fix


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "MW-104", "empty"),
        (b"# only a comment\n", "MW-104", "empty"),
        (b"- a\n- b\n", "MW-102", "a list"),
        (b"hello", "MW-102", "a single value"),
        (b"\x89PNG\0\0", "MW-103", "binary"),
        ("name: 中文名字测试\n".encode("gbk"), "MW-103", "GBK"),
        ("name: café\n".encode("latin1"), "MW-103", "Latin-1"),
        ("name: x\n".encode("utf-16"), "MW-103", "UTF-16"),
        (b"a: b\n" * 200_000, "MW-103", "1,000,000 bytes"),
    ],
)
def test_what_is_no_recipe_is_named(tmp_path: Path, content: bytes, code: str, words: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    found, seen, fix = _failure(path)
    assert (found, bool(fix)) == (code, True)
    assert words in seen


def test_a_missing_recipe_names_the_nearest_file(recipe: Path) -> None:
    code, seen, fix = _failure(recipe.with_name("recipee.yaml"))
    assert (code, seen) == ("MW-804", "there is no such file")
    assert str(recipe) in fix


def test_a_folder_and_a_device_are_no_recipes(recipe: Path) -> None:
    assert _failure(recipe.parent)[:2] == ("MW-804", "this is a folder")
    assert _failure("/dev/null")[:2] == ("MW-804", "this is not a regular file")


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: a\r\ntask: b\r\n")
    assert load(path).values == {"name": "a", "task": "b"}


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("finetune.epochs=2", ("finetune", "epochs"), 2),
        ("finetune.learning_rate=1e-4", ("finetune", "learning_rate"), 1e-4),
        ("data.clean=[normalize]", ("data", "clean"), ["normalize"]),
        (
            "data.clean[1].near-duplicates.threshold=0.9",
            ("data", "clean", 1, "near-duplicates", "threshold"),
            0.9,
        ),
        ("data.clean[2]=exact-duplicates", ("data", "clean", 2), "exact-duplicates"),
        ("finetune.method.lora.rank=4", ("finetune", "method"), {"lora": {"rank": 4}}),
        ("serve.slo.p99_ms=5", ("serve", "slo", "p99_ms"), 5),
        ("base=", ("base",), None),
        ("name=a=b", ("name",), "a=b"),
        ("data.columns={text: 问题}", ("data", "columns"), {"text": "问题"}),
    ],
)
def test_set_overrides_one_value(
    recipe: Path, text: str, path: tuple[str, ...], value: object
) -> None:
    loaded = load(recipe, [text])
    found = loaded.values
    for step in path:
        found = found[step]
    assert found == value
    assert loaded.problems == []
    assert loaded.places.at(path).file in {SET, str(recipe)}
    assert any(place.file == SET for place in loaded.places.of.values())


@pytest.mark.parametrize(
    "text",
    [
        "finetune.epochs",
        "epochs: 3",
        "a..b=1",
        "=3",
        "data.clean[9]=x",
        "data[0]=x",
        "a=[",
        "data.source.x=1",
        "data.clean.x=1",
    ],
)
def test_a_set_that_means_nothing_is_reported_with_the_right_form(recipe: Path, text: str) -> None:
    problems = load(recipe, [text]).problems
    assert [problem.code for problem in problems] == ["MW-109"]
    assert problems[0].file == SET
    assert problems[0].fix


def test_the_last_set_wins(recipe: Path) -> None:
    assert load(recipe, ["seed=1", "seed=2"]).values["seed"] == 2


def test_variables_are_filled_into_paths_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MW_TEST_DATA", "/data")
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "name: ${MW_TEST_DATA}\nbase: ${MW_TEST_DATA}/base\n"
        "data:\n  source: ${MW_TEST_DATA}/a.csv\n"
        "  options: {path: 'x/${MW_TEST_DATA}'}\n  columns: {text: '${MW_TEST_DATA}'}\n"
    )
    loaded = load(path)
    assert loaded.values["name"] == "${MW_TEST_DATA}"
    assert loaded.values["base"] == "/data/base"
    assert loaded.values["data"]["source"] == "/data/a.csv"
    assert loaded.values["data"]["options"] == {"path": "x//data"}
    assert loaded.values["data"]["columns"] == {"text": "${MW_TEST_DATA}"}
    assert loaded.places.raw["data", "source"] == "${MW_TEST_DATA}/a.csv"


@pytest.mark.parametrize("text", ["${MW_TEST_MISSING}/a", "${1a}", "${", "${A B}"])
def test_a_missing_variable_is_reported_with_its_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"name: a\ndata:\n  source: '{text}'\n")
    [problem] = load(path).problems
    assert (problem.code, problem.line) == ("MW-108", 3)
