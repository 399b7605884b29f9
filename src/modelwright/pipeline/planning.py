"""What a run will take, before it runs: minutes, memory and disk from a short calibration here.

A sample of the rows goes through the real data stage; the real network takes a few steps on the
shapes that the real batches will have. Time is then counted, not guessed: rows times the measured
time a row, and steps times a line through the measured (tokens, seconds) pairs.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from modelwright import plugs
from modelwright.artifacts.dataset import Dataset
from modelwright.pipeline.stages import NAMES, Work, data_request, train_request
from modelwright.runtime.machine import resident_mb

SAMPLE_ROWS = 2_000
STEPS = 5
START_SECONDS = 4.0
"""Imports of the training libraries and opening of the base, once a run."""
EXPORT_SECONDS = 14.0
"""Writing, fusing and quantizing the ONNX forms."""
SPEED_SECONDS = 12.0
"""The speed suite's own budget and its warm-up."""


@dataclass
class Ahead:
    """A prediction for one stage."""

    seconds: float
    peak_mb: float
    disk_mb: float = 0.0


@dataclass
class Prediction:
    """Predictions by stage, and what they rest on."""

    stages: dict[str, Ahead] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages.values())

    @property
    def peak_mb(self) -> float:
        return max((stage.peak_mb for stage in self.stages.values()), default=0.0)

    @property
    def disk_mb(self) -> float:
        return sum(stage.disk_mb for stage in self.stages.values())


def predict(work: Work, wanted: Sequence[str]) -> Prediction:
    """Predict the stages of a run that are not in the store yet.

    Args:
        work: the recipe; its derived values are not changed.
        wanted: the stages that will run.
    """
    prediction = Prediction()
    trial = replace(work, derived=list(work.derived), keys=dict(work.keys))
    with tempfile.TemporaryDirectory(prefix="modelwright-plan-") as name:
        folder = Path(name)
        dataset = _dataset(trial, folder, prediction)
        if set(wanted) & {"finetune", "evaluate", "package"}:
            _predict_training(trial, dataset, folder, prediction)
    prediction.stages = {
        stage: prediction.stages[stage] for stage in wanted if stage in prediction.stages
    }
    return prediction


class _Sampled:
    """A source cut to its first rows; everything else is the source's own."""

    def __init__(self, source: Any, rows: int) -> None:
        self._source, self._rows = source, rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def rows(self) -> Iterator[Any]:
        return islice(self._source.rows(), self._rows)


def _dataset(work: Work, folder: Path, prediction: Prediction) -> Dataset:
    """The dataset: the real one when it is in the store, else one of a sample."""
    from modelwright.pipeline.stages import STAGES

    if "data" in work.keys and work.store.has(work.keys["data"]):
        dataset = Dataset.open(work.path("data"))
        prediction.rows = dict(dataset.info.rows)
        work.derive_from(dataset.info.language)
        return dataset
    from modelwright import data
    from modelwright.data.sources._opening import open_source

    counts: list[int] = []

    def opener(location: str, kind: str, options: dict[str, Any]) -> Any:
        source = open_source(location, kind, options)
        counts.append(sum(1 for _ in source.rows()))
        return _Sampled(source, SAMPLE_ROWS)

    STAGES["data"].key(work)
    output = folder / "data"
    output.mkdir()
    started = time.perf_counter()
    request = data_request(work, output)
    limits = request.data.limits.model_copy(update={"dropped": 1.0})
    request = replace(request, data=request.data.model_copy(update={"limits": limits}))
    dataset = data.run(request, opener=opener)
    seconds = time.perf_counter() - started
    sampled = sum(min(count, SAMPLE_ROWS) for count in counts)
    scale = sum(counts) / max(1, sampled)
    prediction.rows = {split: round(rows * scale) for split, rows in dataset.info.rows.items()}
    size = sum(path.stat().st_size for path in output.iterdir())
    prediction.stages["data"] = Ahead(
        seconds=seconds * (0.3 + 0.7 * scale) if scale > 1 else seconds,
        peak_mb=resident_mb() + 0.0004 * sum(counts),
        disk_mb=size * scale / 1e6,
    )
    work.derive_from(dataset.info.language)
    return dataset


def _predict_training(work: Work, dataset: Dataset, folder: Path, prediction: Prediction) -> None:
    from modelwright.train.calibration import calibrate

    scratch = folder / "scratch"
    scratch.mkdir()
    request = train_request(work, folder / "checkpoint", scratch, dataset)
    known = dataset.info.rows.get("train", 0)
    total = prediction.rows.get("train", known)
    measured = calibrate(request, rows=total, steps=STEPS)
    prediction.facts = measured.facts
    forward = measured.forward_seconds_a_row
    validation = min(prediction.rows.get("validation", 0), 5_000)
    test = prediction.rows.get("test", 0) or validation
    weights_mb = measured.parameters * 4 / 1e6
    base_mb = measured.peak_mb
    prediction.stages["finetune"] = Ahead(
        seconds=START_SECONDS
        + measured.training_seconds
        + measured.evaluations * validation * forward
        + measured.label_check_seconds
        + total * measured.encode_seconds_a_row,
        peak_mb=base_mb,
        disk_mb=4 * weights_mb,
    )
    prediction.stages["evaluate"] = Ahead(
        seconds=2.0 + test * forward + _baseline_seconds(dataset, total) + SPEED_SECONDS,
        peak_mb=base_mb,
        disk_mb=1.0,
    )
    proven = min(test, 4_000)
    variants = 3 if measured.modality == "text" else 2
    prediction.stages["package"] = Ahead(
        seconds=EXPORT_SECONDS + (1 + 0.8 * variants) * proven * forward + 4.0 * variants,
        peak_mb=base_mb + 3 * weights_mb,
        disk_mb=2 * 2.3 * weights_mb,
    )


def _baseline_seconds(dataset: Dataset, rows: int) -> float:
    """The linear baseline's time: it grows with rows and, one problem a class, with classes."""
    classes = max(1, len(dataset.info.labels))
    return 1.0 + min(rows, 50_000) * (0.0004 + 0.000012 * classes)


def peak_of_process_mb() -> float:
    """Largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def plan_table(work: Work, prediction: Prediction) -> list[dict[str, Any]]:
    """One row a stage: cached or predicted."""
    rows: list[dict[str, Any]] = []
    for name in NAMES:
        key = work.keys.get(name)
        ahead = prediction.stages.get(name)
        rows.append(
            {
                "name": name,
                "key": key,
                "cached": bool(key and work.store.has(key)),
                "predicted_seconds": round(ahead.seconds, 1) if ahead else 0.0,
                "predicted_peak_mb": round(ahead.peak_mb) if ahead else 0,
                "predicted_disk_mb": round(ahead.disk_mb, 1) if ahead else 0.0,
            }
        )
    return rows


def modality_of(work: Work) -> str:
    """text or image."""
    return str(plugs.load("task", work.recipe.task.name).cls.modality)
