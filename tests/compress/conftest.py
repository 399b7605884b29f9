"""The tiny run's checkpoint as a teacher, with its rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from modelwright.artifacts.dataset import Dataset
from modelwright.models.checkpoint import TrainedModel, open_checkpoint
from modelwright.runtime.files import read_json

if TYPE_CHECKING:
    from modelwright.compress.passes import Material
    from modelwright.pipeline.running import Run


def artifact(run: Run, stage: str) -> Path:
    """A stage's artifact in the tiny run's store."""
    key = next(each.key for each in run.stages if each.name == stage)
    return run.folder.parents[1] / ".modelwright" / "store" / key


@pytest.fixture(scope="session")
def tiny_dataset(tiny_run: Run) -> Dataset:
    return Dataset.open(artifact(tiny_run, "data"))


@pytest.fixture(scope="session")
def tiny_training(tiny_run: Run) -> dict[str, Any]:
    return read_json(artifact(tiny_run, "finetune") / "training.json")


@pytest.fixture
def teacher(tiny_run: Run) -> TrainedModel:
    return open_checkpoint(artifact(tiny_run, "finetune"))


@pytest.fixture
def material(
    teacher: TrainedModel, tiny_dataset: Dataset, tiny_training: dict[str, Any], tmp_path: Path
) -> Material:
    from modelwright.compress.passes import Material
    from modelwright.compress.session import Rows
    from modelwright.train.stage import settings_like

    rows = Rows(tiny_dataset, "train")
    return Material(
        teacher=teacher,
        rows=rows,
        folder=tmp_path,
        seed=0,
        settings=settings_like(tiny_training, teacher, len(rows), 0),
        tuning=tiny_dataset.rows("validation"),
    )
