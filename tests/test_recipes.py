"""Every shipped recipe is without mistakes, and those on the package's own data run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelwright.recipe.check import check

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("MODELWRIGHT_TEST_DATA", ROOT.parent / "shared" / "data"))
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))


def test_there_are_recipes_for_every_task():
    assert len(RECIPES) == 8
    found = {check_task(path) for path in RECIPES}
    assert len(found) == 4


def check_task(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return next(line.split(":")[1].strip() for line in text.splitlines() if line.startswith("task:"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_has_no_mistake(path, monkeypatch):
    if not DATA.is_dir():
        pytest.skip("the shared data sets are not here")
    monkeypatch.setenv("MODELWRIGHT_DATA", str(DATA))
    assert check(path).name == path.stem


@pytest.mark.slow
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs_from_data_to_bundle(path, monkeypatch, tmp_path):
    from modelwright.engines import Bundle
    from modelwright.package.verifying import read_golden
    from modelwright.pipeline.running import run

    if not DATA.is_dir():
        pytest.skip("the shared data sets are not here")
    monkeypatch.setenv("MODELWRIGHT_DATA", str(DATA))
    monkeypatch.setenv("MODELWRIGHT_STORE", str(tmp_path / "store"))
    quick = ("effort=quick", "finetune.epochs=0.02", "evaluate.suites=[quality]", "package.max_drop=100")
    done = run(path, tmp_path / "run", sets=quick)
    bundle = Bundle.open(done.bundle)
    assert bundle.manifest["quality"]["rows"] > 0
    assert next(read_golden(done.bundle))["output"]
