"""Derived values, the resolved recipe, and what `mw explain` says."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from modelwright.errors import CODES, InternalError, UserError
from modelwright.recipe.check import Checked, check, check_with_places
from modelwright.recipe.derive import Derived, apply, derive_static, plain
from modelwright.recipe.examples import EXAMPLES
from modelwright.recipe.explain import OPEN, code_text, explain_code, explain_recipe
from modelwright.recipe.parse import parse
from modelwright.recipe.resolved import resolved_yaml
from modelwright.recipe.schema import Recipe

RECIPE = """\
name: support
task: {text-classification: {separator: ";"}}
data:
  source: ${MW_TEST_FOLDER}/rows.csv
  columns: {text: question}
  slices: ["a: b", 'no']
  clean:
    - exact-duplicates
    - near-duplicates: {threshold: 0.8}
finetune:
  learning_rate: 1e-4
"""


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checked:
    monkeypatch.setenv("MW_TEST_FOLDER", str(tmp_path))
    (tmp_path / "rows.csv").write_text("question,label\nhello,a\n")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return check_with_places(tmp_path / "recipe.yaml", ["finetune.epochs=2"])


def _origins(text: str) -> dict[str, str]:
    """Origin by the line's first word."""
    found = {}
    for line in text.splitlines():
        body, mark, origin = line.partition("  # ")
        if mark:
            found.setdefault(body.strip().lstrip("- ").split(":")[0], origin.strip())
    return found


def test_derived_values_make_a_new_recipe_and_leave_the_old_one(checked: Checked) -> None:
    complete = apply(
        checked.recipe,
        [
            Derived("finetune.batch_rows", 16, "few rows"),
            Derived("data.augment", [], "text"),
            Derived("data.clean[0].exact-duplicates", {}, "nothing"),
            Derived("data.clean[1].near-duplicates.threshold", 0.9, "short texts"),
        ],
    )
    assert complete.finetune.batch_rows == 16
    assert complete.data.augment == []
    assert complete.data.clean is not None
    assert complete.data.clean[1].options == {"threshold": 0.9}
    assert checked.recipe.finetune.batch_rows is None
    with pytest.raises(ValidationError):
        complete.finetune.batch_rows = 3  # type: ignore[misc]


def test_a_part_gets_an_option_where_it_had_none(checked: Checked) -> None:
    complete = apply(checked.recipe, [Derived("finetune.method.full.x", 1, "why")])
    assert complete.finetune.method.options == {"x": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        Derived("finetune.epoch", 1, ""),
        Derived("finetune.epochs", "x", ""),
        Derived("a..b", 1, ""),
        Derived("data.clean[7].x", 1, ""),
        Derived("seed", -1, ""),
    ],
)
def test_a_rule_that_derives_nonsense_is_our_fault(checked: Checked, wrong: Derived) -> None:
    with pytest.raises(InternalError):
        apply(checked.recipe, [wrong])


def test_a_recipe_and_its_plain_values_are_the_same(checked: Checked) -> None:
    assert Recipe.model_validate(plain(checked.recipe)) == checked.recipe


@pytest.mark.parametrize(
    ("task", "language", "base"),
    [
        ("text-classification", "en", "minilm-l6"),
        ("text-classification", "zh", "scratch:small"),
        ("text-classification", None, None),
        ("image-classification", None, "scratch:small"),
    ],
)
def test_the_base_follows_from_task_and_language(
    task: str, language: str | None, base: str | None
) -> None:
    recipe = Recipe.model_validate({"name": "a", "task": task, "data": {"source": "x"}})
    derived = {item.path: item.value for item in derive_static(recipe, language)}
    assert derived.get("base") == base
    assert derived["evaluate.suites"] == ["quality", "speed"]


def test_what_the_user_pinned_is_not_derived() -> None:
    recipe = Recipe.model_validate(
        {
            "name": "a",
            "task": "text-classification",
            "data": {"source": "x"},
            "base": "b",
            "evaluate": {"suites": []},
            "serve": {"slo": {"p99_ms": 20.0}},
        }
    )
    assert derive_static(recipe, "en") == []


def test_a_method_that_needs_a_base_says_so_where_there_is_none() -> None:
    recipe = Recipe.model_validate(
        {
            "name": "a",
            "task": "text-classification",
            "data": {"source": "x"},
            "finetune": {"method": "lora"},
        }
    )
    with pytest.raises(UserError) as caught:
        derive_static(recipe, "zh")
    assert caught.value.problem.code == "MW-106"


def test_the_resolved_recipe_has_every_value_with_its_origin(checked: Checked) -> None:
    derived = [
        *derive_static(checked.recipe, "en"),
        Derived("finetune.batch_rows", 16, "few\nrows"),
    ]
    text = resolved_yaml(apply(checked.recipe, derived), checked.places, derived)
    origins = _origins(text)
    assert origins["name"] == "recipe.yaml:1"
    assert origins["separator"] == "recipe.yaml:2"
    assert origins["multi_label"] == "default"
    assert origins["epochs"] == "--set"
    assert origins["learning_rate"] == "recipe.yaml:11"
    assert origins["batch_rows"] == "derived: few rows"
    assert origins["base"].startswith("derived: the text is English")
    assert origins["seed"] == "default"
    assert origins["near-duplicates"] == "recipe.yaml:9"
    assert all(line.count("  # ") == 1 or line.endswith(":") for line in text.splitlines()[1:])


def test_the_resolved_recipe_reads_back_to_the_same_recipe(
    checked: Checked, tmp_path: Path
) -> None:
    derived = derive_static(checked.recipe, "en")
    complete = apply(checked.recipe, derived)
    text = resolved_yaml(complete, checked.places, derived)
    (tmp_path / "resolved.yaml").write_text(text)
    again = check(tmp_path / "resolved.yaml")
    assert again.finetune == complete.finetune
    assert again.data.source == complete.data.source
    assert again.data.slices == complete.data.slices
    places = check_with_places(tmp_path / "resolved.yaml").places
    values = parse(text, "r").value
    assert parse(resolved_yaml(again, places, []), "r").value == values


def test_secrets_stay_variables_in_the_resolved_recipe(checked: Checked, tmp_path: Path) -> None:
    text = resolved_yaml(checked.recipe, checked.places, [])
    assert "${MW_TEST_FOLDER}/rows.csv" in text
    assert str(tmp_path) not in text


def test_relative_paths_stay_right_in_the_run_folder(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\n")
    (tmp_path / "recipe.yaml").write_text(
        "name: a\ntask: text-classification\ndata: {source: rows.csv}\nbase: minilm-l6\n"
    )
    checked = check_with_places(tmp_path / "recipe.yaml")
    run = tmp_path / "runs" / "a"
    run.mkdir(parents=True)
    text = resolved_yaml(
        checked.recipe, checked.places, [], moved_from=checked.folder, moved_to=run
    )
    (run / "recipe.resolved.yaml").write_text(text)
    assert check(run / "recipe.resolved.yaml").data.source == "../../rows.csv"
    assert "base: minilm-l6" in text


def test_explain_shows_every_value_and_what_is_still_open(checked: Checked) -> None:
    rows = {row["path"]: row for row in explain_recipe(checked)}
    assert rows["finetune.epochs"]["origin"] == "--set"
    assert rows["finetune.max_tokens"]["origin"] == OPEN
    assert rows["data.clean[1].near-duplicates.threshold"]["value"] == 0.8
    assert rows["effort"] | {"about": ""} == {
        "path": "effort",
        "value": "standard",
        "shown": "standard",
        "origin": "default",
        "about": "",
    }


def test_every_code_has_a_meaning_and_two_examples() -> None:
    assert EXAMPLES.keys() == CODES.keys()
    for code in CODES:
        explained = explain_code(code)
        assert explained["wrong"] != explained["right"]
        assert code_text(explained).startswith(f"{code}: ")


@pytest.mark.parametrize("text", ["MW-101", "mw-101", "101", "mw_101"])
def test_codes_are_found_however_they_are_written(text: str) -> None:
    assert explain_code(text)["code"] == "MW-101"


def test_an_unknown_code_names_the_nearest() -> None:
    with pytest.raises(UserError) as caught:
        explain_code("MW-199")
    assert "MW-1" in caught.value.problem.fix


def test_a_service_promises_what_is_usual_where_the_recipe_says_nothing(checked: Checked) -> None:
    derived = derive_static(checked.recipe)
    slo = apply(checked.recipe, derived).serve.slo
    assert (slo.p99_ms, slo.availability, slo.window_days) == (100.0, 0.999, 30)
    rows = {row["path"]: row["origin"] for row in explain_recipe(checked)}
    assert rows["serve.slo.p99_ms"] == "derived: usual where somebody waits"
    assert rows["serve.slo.availability"] == "default"


@pytest.mark.parametrize(
    "slo", ["availability: 1.0", "availability: 99.9", "window_days: 1", "p99_ms: 0"]
)
def test_a_promise_that_nobody_can_keep_is_refused(slo: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("question,label\nhello,a\n")
    text = f"name: a\ntask: text-classification\ndata: {{source: rows.csv}}\nserve: {{slo: {{{slo}}}}}\n"
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(UserError, match="MW-102"):
        check_with_places(tmp_path / "recipe.yaml")
