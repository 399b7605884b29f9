"""Every shipped recipe is without mistakes, and those on the package's own data run."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

from modelwright.recipe.check import check

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("MODELWRIGHT_TEST_DATA", ROOT.parent / "shared" / "data"))
SETS = ("banking77", "conll2003", "fashion_mnist", "sst2", "stsb", "waimai_10k")
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))


def test_there_are_recipes_for_every_task():
    assert len(RECIPES) == 12
    found = {check_task(path) for path in RECIPES}
    assert len(found) == 4


def check_task(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return next(
        line.split(":")[1].strip() for line in text.splitlines() if line.startswith("task:")
    )


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_has_no_mistake(path, monkeypatch):
    if not DATA.is_dir():
        pytest.skip("the shared data sets are not here")
    monkeypatch.setenv("MODELWRIGHT_DATA", str(DATA))
    assert check(path).name == path.stem


@pytest.fixture(scope="session")
def some_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few hundred rows of each set, in the same layout."""
    if not DATA.is_dir():
        pytest.skip("the shared data sets are not here")
    folder = tmp_path_factory.mktemp("data")
    return _sampler().copy_some(DATA, folder, SETS)


def _sampler() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sample", ROOT / "bench" / "_sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs_from_data_to_bundle(path, some_rows, monkeypatch, tmp_path):
    from modelwright.compress import certifying, points
    from modelwright.engines import Bundle, _latency
    from modelwright.package import proving, reproving
    from modelwright.package.verifying import read_golden, verify
    from modelwright.pipeline.running import run

    monkeypatch.setenv("MODELWRIGHT_DATA", str(some_rows))
    monkeypatch.setenv("MODELWRIGHT_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(proving, "SPEED_SECONDS", 0.02)
    monkeypatch.setattr(points, "TIMING_SECONDS", 0.05)
    monkeypatch.setattr(certifying, "PROOF_SECONDS", 0.5)
    monkeypatch.setattr(reproving, "SECONDS", 0.5)
    monkeypatch.setattr(_latency, "TURN", 2)
    quick = (
        "effort=quick",
        "finetune.epochs=0.2",
        "evaluate.suites=[quality]",
        "package.max_drop=100",
        "data.limits.dropped=1",
    )
    if path.stem.endswith("-compressed"):
        quick += ("compress.max_drop=100", "compress.limits={}", "compress.budget.minutes=0.2")
    done = run(path, tmp_path / "run", sets=quick)
    bundle = Bundle.open(done.bundle)
    assert bundle.manifest["quality"]["rows"] > 0
    assert next(read_golden(done.bundle))["output"]
    if path.stem.endswith("-compressed"):
        proof = verify(done.bundle).proof
        assert proof is not None
        assert proof.holds
        assert proof.rows > 0
        assert proof.speed is not None
