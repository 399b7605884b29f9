"""A copy of the tiny bundle to damage, and what it was packaged from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from modelwright.models.checkpoint import TrainedModel
    from modelwright.pipeline.running import Run


def artifact(run: Run, stage: str) -> Path:
    """The folder in the store of a stage of the run."""
    key = next(record.key for record in run.stages if record.name == stage)
    return run.folder.parents[1] / ".modelwright" / "store" / key


@pytest.fixture(scope="session")
def checkpoint(tiny_run: Run) -> Path:
    """The folder of the trained model."""
    return artifact(tiny_run, "finetune")


@pytest.fixture(scope="session")
def dataset(tiny_run: Run) -> Path:
    """The folder of the rows."""
    return artifact(tiny_run, "data")


@pytest.fixture(scope="session")
def trained(checkpoint: Path) -> TrainedModel:
    """The trained model, opened."""
    from modelwright.models.checkpoint import open_checkpoint

    return open_checkpoint(checkpoint)


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
