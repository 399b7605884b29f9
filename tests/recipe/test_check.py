"""Every mistake of a recipe at once, each with its line, the value and the edit that fixes it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.errors import Problem, RecipeError
from modelwright.recipe.check import check, check_with_places
from modelwright.recipe.emit import inline
from modelwright.recipe.places import SET

JARGON = re.compile(
    r"pydantic|validat(e|ion error|or)|Input should|Extra inputs|_type|NoneType"
    r"|\bdict\b|\bstr\b|\bint\b|\bNone\b|Literal"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("train.csv", "test.csv", "tickets.csv"):
        (tmp_path / name).write_text("text,label\nhello,a\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _problems(text: str, *sets: str) -> list[Problem]:
    path = Path("recipe.yaml")
    path.write_text(text, encoding="utf-8")
    try:
        check(path, sets)
    except RecipeError as error:
        return error.problems
    return []


def _minimal(**sections: str) -> str:
    values = {"name": "a", "task": "text-classification", "data": "{source: train.csv}", **sections}
    return "".join(f"{key}: {value}\n" for key, value in values.items())


@pytest.mark.usefixtures("folder")
def test_a_right_recipe_is_read_with_its_places() -> None:
    Path("recipe.yaml").write_text(_minimal(finetune="{epochs: 2}"))
    checked = check_with_places("recipe.yaml", ["seed=3"])
    assert (checked.recipe.finetune.epochs, checked.recipe.seed) == (2, 3)
    assert checked.places.at(("finetune", "epochs")).line == 4
    assert checked.places.at(("seed",)).file == SET
    assert checked.folder == Path.cwd()


ONE_MISTAKE = [
    # keys
    (_minimal(finetune="{learning_rat: 0.1}"), "MW-101", 4, "did you mean `learning_rate`?"),
    (_minimal(epochs="3"), "MW-101", 4, "`epochs` belongs under `finetune`"),
    (_minimal(finetune="{source: x}"), "MW-101", 4, "`source` belongs under `data`"),
    (_minimal(lr="3"), "MW-101", 4, "`learning_rate` belongs under `finetune`"),
    (_minimal(model="x"), "MW-101", 4, "did you mean `base`?"),
    (_minimal(finetune="{Learning-Rate: 0.1}"), "MW-101", 4, "did you mean `learning_rate`?"),
    (_minimal(finetune="{<<: {epochs: 1}}"), "MW-101", 4, "no merge key"),
    (_minimal(serve="{slo: {p99: 3}}"), "MW-101", 4, "did you mean `p99_ms`?"),
    (_minimal(zzzzqq="3"), "MW-101", 4, "delete it"),
    (
        "task: text-classification\ndata: {source: train.csv}\n",
        "MW-104",
        1,
        "add a line `name: ...`",
    ),
    ("name: a\ntask: text-classification\n", "MW-104", 1, "add a line `data: ...`"),
    # values
    (_minimal(finetune="{epochs: '3'}"), "MW-102", 4, "write 3 without quotes"),
    (_minimal(finetune="{epochs: three}"), "MW-102", 4, "write a number above 0"),
    (_minimal(finetune="{epochs: 0}"), "MW-102", 4, "write a number above 0"),
    (_minimal(finetune="{epochs: 5000}"), "MW-102", 4, "write 1000 or less"),
    (_minimal(finetune="{epochs: .nan}"), "MW-102", 4, "finite"),
    (_minimal(finetune="{weight_decay: .inf}"), "MW-102", 4, "finite"),
    (_minimal(finetune="{epochs: true}"), "MW-102", 4, "write a number"),
    (_minimal(finetune="{epochs: [3]}"), "MW-102", 4, "write a number"),
    (_minimal(finetune="{batch_rows: 2.5}"), "MW-102", 4, "write a whole number, such as 2"),
    (_minimal(finetune="{batch_rows: 32.0}"), "MW-102", 4, "write 32"),
    (_minimal(finetune="{precision: fp16}"), "MW-102", 4, "did you mean `bf16`?"),
    (_minimal(effort="slow"), "MW-102", 4, "write `quick`"),
    (_minimal(effort="Standard"), "MW-102", 4, "did you mean `standard`?"),
    (_minimal(seed="-1"), "MW-102", 4, "write 0 or more"),
    (_minimal(seed="1e400"), "MW-102", 4, "finite"),
    (_minimal(seed="yes"), "MW-102", 4, "write a whole number"),
    (_minimal(base="3"), "MW-102", 4, "put it in quotes: '3'"),
    (_minimal(finetune="3"), "MW-102", 4, "put keys below it"),
    (_minimal(finetune=""), "MW-102", 4, "delete the line"),
    (_minimal(finetune="[a]"), "MW-102", 4, "take the dashes away"),
    (_minimal(name="my run!"), "MW-102", 1, "write `my-run`"),
    (_minimal(name="中文"), "MW-102", 1, "write `my-run`"),
    (_minimal(data="train.csv"), "MW-102", 3, "write {source: train.csv}"),
    (_minimal(data="{source: train.csv, slices: a}"), "MW-102", 3, "write [a]"),
    (_minimal(data="{source: train.csv, slices: [1]}"), "MW-102", 3, "quotes: '1'"),
    (
        _minimal(data="{source: train.csv, clean: exact-duplicates}"),
        "MW-102",
        3,
        "write [exact-duplicates]",
    ),
    (_minimal(data="{source: train.csv, splits: {stratify: yes}}"), "MW-102", 3, "write true"),
    (
        _minimal(data="{source: train.csv, splits: {validation: 1.5}}"),
        "MW-102",
        3,
        "write 1 or less",
    ),
    (_minimal(data="{source: train.csv, splits: {validation: '10%'}}"), "MW-102", 3, "write 0.1"),
    (_minimal(data="{source: train.csv, limits: {dropped: 5%}}"), "MW-102", 3, "write 0.05"),
    (_minimal(evaluate="{limits: {accuracy: high}}"), "MW-102", 4, "write a number"),
    # parts
    (_minimal(task="text-clasification"), "MW-105", 2, "did you mean `text-classification`?"),
    (_minimal(task="[text-classification]"), "MW-102", 2, "write text-classification"),
    (_minimal(task="{text-classification: {multilabel: true}}"), "MW-101", 2, "`multi_label`"),
    (_minimal(task="{text-classification: {multi_label: 1}}"), "MW-102", 2, "write true"),
    (_minimal(task="{text-classification: 4}"), "MW-102", 2, "write `text-classification` alone"),
    (_minimal(finetune="{method: lorra}"), "MW-105", 4, "did you mean `lora`?"),
    (_minimal(data="{source: train.csv, format: cvs}"), "MW-105", 3, "did you mean `csv`?"),
    (
        _minimal(data="{source: train.csv, format: csv, options: {delimeter: x}}"),
        "MW-101",
        3,
        "did you mean `delimiter`?",
    ),
    (
        _minimal(data="{source: train.csv, options: {delimeter: x}}"),
        "MW-101",
        3,
        "did you mean `delimiter`?",
    ),
    (
        _minimal(data="{source: train.csv, clean: [normalise]}"),
        "MW-105",
        3,
        "did you mean `normalize`?",
    ),
    (
        _minimal(
            data="\n  source: train.csv\n  clean:\n    - near-duplicates:\n      threshold: 0.8"
        ),
        "MW-102",
        6,
        "{near-duplicates: {threshold: 0.8}}",
    ),
    (
        _minimal(data="{source: train.csv, clean: [{near-duplicates: {treshold: 0.8}}]}"),
        "MW-101",
        3,
        "did you mean `threshold`?",
    ),
    (_minimal(evaluate="{suites: [qualty]}"), "MW-105", 4, "did you mean `quality`?"),
    (_minimal(monitor="{signals: [lenght]}"), "MW-105", 4, "did you mean `length`?"),
    (_minimal(monitor="{signals: [brightness]}"), "MW-106", 4, "delete it"),
    (_minimal(monitor="{signals: []}"), "MW-106", 4, "delete the line"),
    (_minimal(package="{formats: [onxx]}"), "MW-105", 4, "did you mean `onnx`?"),
    # stages, files, variables
    (_minimal(pretrain="{objective: mlm}"), "MW-110", 4, "delete the section `pretrain`"),
    (_minimal(data="{source: trian.csv}"), "MW-107", 3, "did you mean `train.csv`?"),
    (_minimal(data="{source: nowhere/train.csv}"), "MW-107", 3, "does not exist"),
    (_minimal(data="{source: '*.jsonl'}"), "MW-107", 3, "folder holds"),
    (_minimal(data="{source: imdb}"), "MW-107", 3, "hf://imdb"),
    (_minimal(data="{source: ''}"), "MW-107", 3, "name one"),
    (_minimal(base="./nomodel"), "MW-107", 4, "folder holds"),
    (_minimal(data="{source: '${MW_NOT_SET}/x.csv'}"), "MW-108", 3, "export MW_NOT_SET"),
    # combinations
    (_minimal(data="{format: csv}"), "MW-106", 3, "add `source: FILE`"),
    (
        _minimal(data="{source: train.csv, splits: {validation: 0.5, test: 0.5}}"),
        "MW-106",
        3,
        "0.1",
    ),
    (_minimal(data="{splits: {train: train.csv, test: train.csv}}"), "MW-106", 3, "test: 0.1"),
    (_minimal(data="{source: train.csv, columns: {txt: a}}"), "MW-106", 3, "did you mean `text`?"),
    (_minimal(data="{source: train.csv, columns: {frage: text}}"), "MW-106", 3, "`text: frage`"),
    (_minimal(data="{source: train.csv, columns: {text: a, label: a}}"), "MW-106", 3, "the class"),
    (
        _minimal(data="{source: train.csv, columns: {label: x}, splits: {groups: x}}"),
        "MW-106",
        3,
        "delete `groups`",
    ),
    (_minimal(base="scratch:small", finetune="{method: lora}"), "MW-106", 5, "`method: full`"),
    (_minimal(finetune="{image_size: 32}"), "MW-106", 4, "delete `image_size`"),
    (
        _minimal(task="image-classification", finetune="{pooling: cls}"),
        "MW-106",
        4,
        "delete `pooling`",
    ),
    (_minimal(task="image-classification", finetune="{max_tokens: 64}"), "MW-106", 4, "delete"),
    (_minimal(task="text-regression", finetune="{label_smoothing: 0.1}"), "MW-106", 4, "delete"),
    (_minimal(task="text-regression", finetune="{class_weights: balanced}"), "MW-106", 4, "delete"),
    (_minimal(finetune="{batch_tokens: 16, max_tokens: 64}"), "MW-106", 4, "batch_tokens: 4096"),
    (_minimal(package="{formats: []}"), "MW-106", 4, "delete the line"),
    (_minimal(evaluate="{limits: {acuracy: 0.9}}"), "MW-106", 4, "did you mean `accuracy`?"),
    (_minimal(evaluate="{limits: {accuracy: 90}}"), "MW-106", 4, "write 0.9"),
    (_minimal(evaluate="{suites: [quality], limits: {p50_ms: 9}}"), "MW-106", 4, "one of"),
    (_minimal(package="{formats: [torch, torch]}"), "MW-106", 4, "delete the second"),
    (_minimal(data="{source: 'sql://h/db'}"), "MW-106", 3, "?query=SELECT"),
    # compression
    (_minimal(compress="{passes: [quantise]}"), "MW-105", 4, "did you mean `quantize`?"),
    (_minimal(compress="{batch: [{batch: 1, weight: 0}]}"), "MW-102", 4, "a number above 0"),
    (_minimal(compress="{batch: [{batch: 1, wieght: 2}]}"), "MW-101", 4, "did you mean `weight`?"),
    (_minimal(compress="{model: nothing}"), "MW-107", 4, "that folder holds"),
    (_minimal(compress="{batch: []}"), "MW-102", 4, "at least one item"),
    (_minimal(compress="{passes: []}"), "MW-106", 4, "delete the line"),
    (_minimal(compress="{passes: [distil, quantize]}"), "MW-106", 4, "add layers"),
    (
        _minimal(compress="{passes: [{quantize: {calibration_rows: 8}}]}"),
        "MW-101",
        4,
        "{int8-static: {calibration_rows: ...}}",
    ),
]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("text", "code", "line", "fix"),
    ONE_MISTAKE,
    ids=[f"{c}-{f[:30]}" for _, c, _, f in ONE_MISTAKE],
)
def test_one_mistake_gives_one_problem_with_its_fix(
    text: str, code: str, line: int, fix: str
) -> None:
    [problem] = _problems(text)
    assert (problem.code, problem.file, problem.line) == (code, "recipe.yaml", line)
    assert fix in problem.fix
    assert problem.seen
    assert problem.expected
    assert not JARGON.search(f"{problem.seen} {problem.expected} {problem.fix}")


@pytest.mark.usefixtures("folder")
def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    problems = _problems(
        "name: my run\ntask: text-clasification\neffort: fast\nseed: '3'\n"
        "data:\n  source: trian.csv\n"
        "  colums: {text: a}\nfinetune:\n  epochs: '3'\n  learning_rat: 0.1\nepochs: 3\n"
        "pretrain: {objective: mlm}\n",
        "finetune.dropout=2",
        "nonsense",
    )
    found = [(problem.code, problem.line) for problem in problems]
    assert found == [
        ("MW-102", 1),
        ("MW-105", 2),
        ("MW-102", 3),
        ("MW-102", 4),
        ("MW-107", 6),
        ("MW-101", 7),
        ("MW-102", 9),
        ("MW-101", 10),
        ("MW-101", 11),
        ("MW-110", 12),
        ("MW-109", None),
        ("MW-102", None),
    ]
    assert {problem.file for problem in problems} == {"recipe.yaml", SET}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "text",
    [
        _minimal(),
        _minimal(data="{source: train.csv, splits: {validation: 0.1, test: test.csv}}"),
        _minimal(data="{source: '*.csv'}"),
        _minimal(data="{source: hf://imdb}"),
        _minimal(data="{source: 's3://bucket/rows.csv'}"),
        _minimal(data="{source: 'sql://host/db?query=SELECT 1'}"),
        _minimal(data="{source: train.csv, clean: []}"),
        _minimal(data="{source: train.csv, clean: [{normalize: {}}]}"),
        _minimal(finetune="{method: {lora: {}}, epochs: 3, learning_rate: 1e-4}"),
        _minimal(base="null", finetune="{epochs: null}"),
        _minimal(base="no"),
        _minimal(task="{name: text-classification, options: {multi_label: true}}"),
    ],
)
def test_right_recipes_have_no_problems(text: str) -> None:
    assert _problems(text) == []


def test_paths_are_relative_to_the_recipe(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "recipe.yaml").write_text(_minimal())
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert check("../recipe.yaml").name == "a"


def test_a_secret_of_the_environment_is_never_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MW_TEST_SECRET", "hunter2")
    [problem] = _problems(_minimal(data="{source: '/x/${MW_TEST_SECRET}.csv'}"))
    assert "hunter2" not in str(problem)


SECTION_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(),
    st.sampled_from(["x", "3", "", "full"]),
    st.lists(st.sampled_from(["normalize", "", 3, None]), max_size=2),
    st.dictionaries(
        st.sampled_from(["name", "options", "lora", "epochs"]), st.integers(), max_size=2
    ),
)
KEYS = st.sampled_from(
    [
        "name",
        "task",
        "effort",
        "seed",
        "data",
        "base",
        "finetune",
        "evaluate",
        "package",
        "serve",
        "epochs",
        "data.source",
        "data.columns",
        "data.clean",
        "data.splits",
        "finetune.method",
        "data.slices",
        "data.format",
        "data.options",
        "evaluate.suites",
        "evaluate.limits",
        "package.formats",
        "odd",
    ]
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(KEYS, SECTION_VALUES), min_size=1, max_size=5))
def test_any_value_anywhere_is_a_recipe_or_a_plain_list_of_problems(
    folder: Path, changes: list[tuple[str, Any]]
) -> None:
    problems = _problems(_minimal(), *(f"{key}={inline(value)}" for key, value in changes))
    for problem in problems:
        assert problem.code.startswith("MW-1")
        assert not JARGON.search(f"{problem.seen} {problem.expected} {problem.fix}")
