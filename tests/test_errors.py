"""Errors are part of the interface: their text is kept in `tests/golden/`.

UPDATE_GOLDEN=1 python -m pytest tests/test_errors.py      writes the files anew
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from modelwright.cli import main
from modelwright.errors import (
    CODES,
    GateError,
    InternalError,
    ModelwrightError,
    Problem,
    RecipeError,
    UserError,
    did_you_mean,
    nearest,
)

GOLDEN = Path(__file__).parent / "golden"
START = "name: support\ntask: text-classification\n"

RECIPES: dict[str, str] = {
    "unknown-keys": START + "data: {source: rows.csv, colums: {text: a}}\nepochs: 3\nlr: 1e-4\n",
    "wrong-types": "name: my run\ntask: text-classification\neffort: fast\nseed: -1\n"
    "data: {source: rows.csv, clean: normalize, splits: {validation: 10%}}\n"
    "finetune:\n  epochs: '3'\n  batch_rows: 2.5\n  warmup: 1.5\nevaluate:\n",
    "missing-keys": "effort: quick\n",
    "unknown-parts": "name: support\ntask: text-clasification\n"
    "data: {source: rows.csv}\nfinetune: {method: lorra}\n",
    "wrong-part-options": START + "data:\n  source: rows.csv\n  clean:\n"
    "    - near-duplicates:\n      threshold: 0.8\n",
    "contradictions": START + "base: scratch:small\n"
    "data: {source: rows.csv, columns: {txt: a},\n"
    "  splits: {train: rows.csv, validation: 0.6, test: 0.5}}\n"
    "finetune: {method: lora, image_size: 32}\n",
    "missing-files": START + "data: {splits: {train: row.csv, test: nowhere/test.csv}}\n",
    "missing-variable": START + "data: {source: '${MW_NOT_SET}/rows.csv'}\n",
    "future-stage": START + "data: {source: rows.csv}\npretrain: {objective: mlm}\n",
    "tab": START + "data:\n\tsource: rows.csv\n",
    "duplicate-key": START + "data: {source: rows.csv}\nname: again\n",
    "unclosed-bracket": "name: [a, b\ntask: text-classification\n",
    "empty": "# nothing here\n",
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_text_of_recipe_mistakes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("text,label\nhello,a\n")
    Path("recipe.yaml").write_text(RECIPES[name])
    assert main.run(["check", "recipe.yaml"]) == 2
    _compare(name, capsys.readouterr().err.replace(str(tmp_path.resolve()), "FOLDER"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("command-unknown", ["chekc"]),
        ("set-not-understood", ["check", "recipe.yaml", "--set", "finetune.epochs:2"]),
        ("no-such-recipe", ["check", "recpie.yaml"]),
        ("code-unknown", ["explain", "MW-999"]),
    ],
)
def test_the_text_of_wrong_commands(
    name: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("text,label\nhello,a\n")
    Path("recipe.yaml").write_text(START + "data: {source: rows.csv}\n")
    assert main.run(words) == 2
    _compare(name, capsys.readouterr().err)


def _compare(name: str, text: str) -> None:
    text = re.sub(r"(expected: one of )[^\n]*", r"\1...", text)  # grows with every new part
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), "run with UPDATE_GOLDEN=1 and read what it writes"
    assert text == path.read_text(encoding="utf-8")


def test_every_golden_file_is_used() -> None:
    used = {path.stem for path in GOLDEN.glob("*.txt")}
    source = Path(__file__).read_text()
    assert [name for name in used if f'"{name}"' not in source] == []


def test_codes_are_permanent_numbers_with_a_sentence() -> None:
    for code, meaning in CODES.items():
        assert re.fullmatch(r"MW-[1-9]\d\d", code)
        assert meaning.endswith(".") or meaning.endswith(").")


def test_exit_codes_follow_the_tree() -> None:
    problem = Problem(code="MW-101", seen="x")
    assert UserError("MW-101", "x").exit_code == 2
    assert RecipeError([problem]).exit_code == 2
    assert GateError("MW-502", "x").exit_code == 3
    assert InternalError("x").exit_code == 1
    assert ModelwrightError([problem]).problems == [problem]


def test_a_problem_says_place_expectation_and_fix() -> None:
    problem = Problem(code="MW-101", seen="s", expected="e", fix="f", file="r.yaml", line=3)
    assert str(problem) == "MW-101 r.yaml:3: s\n  expected: e\n  fix: f"
    assert str(Problem(code="MW-101", seen="s")) == "MW-101 s"
    assert problem.as_dict()["line"] == 3


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [
        ("learning_rat", ["learning_rate", "epochs"], "learning_rate"),
        ("NEAR_DUPLICATES", ["near-duplicates"], "near-duplicates"),
        ("zzz", ["epochs"], None),
    ],
)
def test_the_nearest_name(name: str, known: list[str], found: str | None) -> None:
    assert nearest(name, known) == found


def test_without_a_near_name_all_are_listed() -> None:
    assert did_you_mean("zzz", ["b", "a"]) == "one of: a, b"
