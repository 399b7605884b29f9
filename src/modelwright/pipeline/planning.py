"""What a run will take, before it runs: minutes, memory and disk from a short calibration here.

A sample of the rows goes through the real data stage; the real network takes a few steps on the
shapes that the real batches will have. Time is then counted, not guessed: rows times the measured
time a row, and steps times a line through the measured (tokens, seconds) pairs.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright import plugs
from modelwright.artifacts.dataset import Dataset, tuning_share
from modelwright.errors import ModelwrightError
from modelwright.pipeline.stages import Work, data_request, names_of, train_request
from modelwright.runtime.machine import release_memory, resident_mb

if TYPE_CHECKING:
    from modelwright.train.calibration import Calibration

SAMPLE_ROWS = 2_000
STEPS = 5
START_SECONDS = 4.0
"""Imports of the training libraries and opening of the base, once a run."""
EXPORT_SECONDS = 12.0
"""Opening the checkpoint, writing, fusing and quantizing the ONNX forms."""
ACTIVATIONS = 24
"""Arrays of a batch's tokens by the backbone's width that a forward pass holds at its peak."""


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
        if "finetune" not in names_of(trial.recipe):
            prediction.stages["compress"] = _predict_compress(trial, resident_mb(), 0.0)
        elif set(wanted) & {"finetune", "evaluate", "package"}:
            _predict_training(trial, dataset, folder, prediction)
            release_memory()
            if "data" in prediction.stages:  # training's libraries stay in the process
                ahead = prediction.stages["data"]
                ahead.peak_mb = max(ahead.peak_mb, resident_mb())
    prediction.stages = {
        stage: prediction.stages[stage] for stage in wanted if stage in prediction.stages
    }
    return prediction


class _Sampled:
    """A source cut to rows taken from all over it; everything else is the source's own.

    Attributes:
        count: rows that it really has.
        seconds: reading all of them.
        most: rows given out, evenly spread over those taken.
    """

    def __init__(self, source: Any) -> None:
        self._source, self.count, self.most = source, 0, SAMPLE_ROWS
        draw = random.Random(0)
        taken: list[tuple[int, Any]] = []
        started = time.perf_counter()
        for row in source.rows():
            self.count += 1
            if len(taken) < SAMPLE_ROWS:
                taken.append((self.count, row))
            elif (place := draw.randrange(self.count)) < SAMPLE_ROWS:
                taken[place] = (self.count, row)
        self.seconds = time.perf_counter() - started
        self._taken = [row for _, row in sorted(taken, key=lambda pair: pair[0])]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def rows(self) -> Iterator[Any]:
        return iter(self._taken[:: max(1, len(self._taken) // self.most)])


def _dataset(work: Work, folder: Path, prediction: Prediction) -> Dataset:
    """The dataset: the real one when it is in the store, else one of a sample."""
    from modelwright.pipeline.stages import STAGES

    if "data" in work.keys and work.store.has(work.keys["data"]):
        dataset = Dataset.open(work.path("data"))
        prediction.rows = dict(dataset.info.rows)
        work.derive_from(dataset.info.language)
        return dataset
    STAGES["data"].key(work)
    sampled = _Sampling(work, folder)
    few, few_seconds = 0, 0.0
    for most in (SAMPLE_ROWS // 10, SAMPLE_ROWS // 4):  # the first imports what it needs
        with suppress(ModelwrightError):  # so few rows may hold too little to learn from
            few, few_seconds = sampled.run(most)
    rows, seconds = sampled.run(SAMPLE_ROWS)
    total = sum(source.count for source in sampled.sources.values())
    reading = sum(source.seconds for source in sampled.sources.values())
    each = max(0.0, seconds - few_seconds) / (rows - few) if rows > few else seconds / max(1, rows)
    dataset = Dataset.open(sampled.output)
    scale = total / max(1, rows)
    prediction.rows = {split: round(count * scale) for split, count in dataset.info.rows.items()}
    size = sum(path.stat().st_size for path in sampled.output.iterdir())
    prediction.stages["data"] = Ahead(
        seconds=reading + seconds + each * (total - rows),
        peak_mb=resident_mb() + 0.0004 * total,
        disk_mb=size * scale / 1e6,
    )
    work.derive_from(dataset.info.language)
    return dataset


class _Sampling:
    """Runs the data stage on some rows of every source.

    Attributes:
        sources: by location, format and options.
        output: the last dataset.
    """

    def __init__(self, work: Work, folder: Path) -> None:
        self.work, self.folder = work, folder
        self.sources: dict[tuple[str, str, str], _Sampled] = {}
        self.output = folder

    def run(self, most: int) -> tuple[int, float]:
        """Rows taken and seconds, with about `most` rows of a source."""
        from modelwright import data
        from modelwright.data.sources._opening import open_source

        def opener(location: str, kind: str, options: dict[str, Any]) -> Any:
            key = (location, kind, str(options))
            if key not in self.sources:
                self.sources[key] = _Sampled(open_source(location, kind, options))
            source = self.sources[key]
            source.most = most
            return source

        self.output = self.folder / f"data-{most}"
        self.output.mkdir()
        request = data_request(self.work, self.output)
        limits = request.data.limits.model_copy(update={"dropped": 1.0})
        request = replace(request, data=request.data.model_copy(update={"limits": limits}))
        started = time.perf_counter()
        data.run(request, opener=opener)
        seconds = time.perf_counter() - started
        return sum(1 for source in self.sources.values() for _ in source.rows()), seconds


def _predict_training(work: Work, dataset: Dataset, folder: Path, prediction: Prediction) -> None:
    from modelwright.package.stage import MOST_ROWS
    from modelwright.train.calibration import calibrate
    from modelwright.train.stage import MOST_VALIDATION

    scratch = folder / "scratch"
    scratch.mkdir()
    request = train_request(work, folder / "checkpoint", scratch, dataset)
    known = dataset.info.rows.get("train", 0)
    total = prediction.rows.get("train", known)
    measured = calibrate(request, rows=total, steps=STEPS)
    prediction.facts = measured.facts
    forward = measured.forward_seconds_a_row
    held = prediction.rows.get("validation", 0)
    validation = min(tuning_share(held) if request.proof_follows else held, MOST_VALIDATION)
    test = prediction.rows.get("test", 0) or min(held, MOST_VALIDATION)
    usual = max(1.0, measured.usual)
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
    if work.recipe.compress is not None:
        prediction.stages["compress"] = _predict_compress(work, base_mb, weights_mb)
    speed = 4.0 + _speed_seconds(measured, (1, measured.long / usual, measured.longest / usual))
    largest_mb = 32 * measured.longest * measured.width * 4 * ACTIVATIONS / 1e6
    prediction.stages["evaluate"] = Ahead(
        seconds=2.0 + test * forward + _baseline_seconds(dataset, total) + speed,
        peak_mb=base_mb + largest_mb,
        disk_mb=1.0,
    )
    proven = min(test, MOST_ROWS)
    variants = 3 if measured.modality == "text" else 2
    proving = proven * forward + _speed_seconds(measured, (1, measured.long / usual))
    prediction.stages["package"] = Ahead(
        seconds=EXPORT_SECONDS + proven * forward + variants * proving,
        peak_mb=base_mb + 9 * weights_mb,
        disk_mb=2 * 2.3 * weights_mb,
    )


def _predict_compress(work: Work, base_mb: float, weights_mb: float) -> Ahead:
    """A search takes the time that it is given; lessons keep two networks and an optimizer."""
    from modelwright.compress.session import MINUTES

    compress = work.recipe.compress
    minutes = compress.budget.minutes if compress and compress.budget.minutes else None
    return Ahead(
        seconds=60 * (minutes or MINUTES[work.recipe.effort]),
        peak_mb=base_mb + 3 * weights_mb + 400,
        disk_mb=8 * weights_mb,
    )


def _speed_seconds(measured: Calibration, lengths: Sequence[float]) -> float:
    """Measuring batches of 1, 8 and 32 rows at several lengths: some 0.7 s each, or a few calls."""
    row = measured.forward_seconds_a_row
    return sum(max(0.7, 3 * batch * row * length) for length in lengths for batch in (1, 8, 32))


def _baseline_seconds(dataset: Dataset, rows: int) -> float:
    """The linear baseline's time: it grows with rows and, one problem a class, with classes."""
    classes = max(1, len(dataset.info.labels))
    return 1.0 + min(rows, 50_000) * (0.0004 + 0.000012 * classes)


def plan_table(work: Work, prediction: Prediction) -> list[dict[str, Any]]:
    """One row a stage: cached or predicted."""
    rows: list[dict[str, Any]] = []
    for name in names_of(work.recipe):
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
