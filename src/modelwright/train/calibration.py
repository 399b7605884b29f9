"""A few real steps on real shapes, to predict what training will take on this machine.

The steps are those of the training loop itself, on the largest batch (which decides the memory)
and on batches at the 10th, 50th and 90th percentile of cost, with an evaluation and a checkpoint
at the end; so whatever the loop spends is in the prediction. The libraries keep kernels for every
shape that they have met, some megabytes a shape, so a few more shapes tell what all will take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from modelwright.models.checkpoint import EVAL_TOKENS
from modelwright.runtime.device import StopFlag
from modelwright.runtime.machine import measured, resident_mb, trim_heap
from modelwright.runtime.progress import Bar
from modelwright.train.batches import LengthBatches
from modelwright.train.loop import SAVE_EVERY_S, fit
from modelwright.train.stage import Prepared, TrainRequest, make_loop, method_of, prepare_training
from modelwright.train.suspicious import MOST_ROWS

WARM_UP = 2
VALIDATION_ROWS = 256
MOST_FORWARD = 1024
SHARES = (0.1, 0.5, 0.9)
NEW_SHAPES = 8
MOST_SHAPES = 85
"""oneDNN keeps the last 1,024 kernels, and a layer takes about 12 a shape: forward and backward of
its four matrix shapes."""
MOST_COUNTED = 100_000


@dataclass(frozen=True)
class Calibration:
    """What was measured and what follows for the whole run.

    Attributes:
        training_seconds: steps and checkpoints, without evaluations.
        evaluations: times the validation rows are scored.
        forward_seconds_a_row: of evaluating, scores included.
        encode_seconds_a_row: from text or file to features.
        label_check_seconds: search for suspicious labels.
        peak_mb: resident memory of the whole process.
        parameters: weights.
        modality: text or image.
        usual, long, longest: tokens of the median row, of the 95th percentile, and the most that
            the encoder takes; 1 each for images.
        width: of the backbone's vectors.
        facts: for showing.
    """

    training_seconds: float
    evaluations: int
    forward_seconds_a_row: float
    encode_seconds_a_row: float
    label_check_seconds: float
    peak_mb: float
    parameters: int
    modality: str
    usual: float
    long: float
    longest: int
    width: int
    facts: dict[str, Any]


def calibrate(request: TrainRequest, rows: int, steps: int) -> Calibration:
    """Run a few steps, an evaluation and a checkpoint, and scale them to `rows` training rows.

    Args:
        request: as the training stage gets it; its dataset may be a sample, and its scratch folder
            is written to.
        rows: training rows of the whole data.
        steps: timed steps for each of three batch shapes.
    """
    with measured() as usage:
        started = time.perf_counter()
        prepared = prepare_training(request, rows=rows)
        encode_seconds = time.perf_counter() - started
        forward = _forward_seconds(prepared)
        method_of(request).prepare(prepared.model.network)
        trial = _run_trial(request, prepared, steps)
        forward = max(forward, trial.evaluation_seconds_a_row)
    settings, network = prepared.settings, prepared.model.network
    sampled = max(1, len(prepared.table))
    scale = rows / sampled
    a, b = trial.line
    stepping = float(np.sum(a + b * trial.costs)) * settings.epochs * scale
    evaluations = max(1, round(settings.epochs))
    saves = evaluations + stepping / SAVE_EVERY_S
    predicted = stepping + saves * trial.save_seconds
    task = prepared.model.task
    return Calibration(
        training_seconds=predicted,
        evaluations=evaluations,
        forward_seconds_a_row=forward,
        encode_seconds_a_row=min(0.001, encode_seconds / sampled),
        label_check_seconds=_label_check(prepared, rows, forward),
        peak_mb=max(usage.peak_mb, resident_mb())
        + 0.0005 * rows
        + _kernels_mb(prepared, trial, rows),
        parameters=sum(weight.numel() for weight in network.parameters()),
        modality=task.modality,
        usual=float(np.median(prepared.table.lengths)),
        long=float(np.quantile(prepared.table.lengths, 0.95)),
        longest=int(getattr(prepared.model.encoder.settings, "max_tokens", 1)),
        width=network.head.in_features,
        facts={
            "epochs": settings.epochs,
            "steps": round(len(trial.costs) * settings.epochs * scale),
            "batch_rows": settings.batch_rows,
            "precision": settings.precision,
            "rows_per_second": round(rows * settings.epochs / max(predicted, 1e-9), 1),
            "base": prepared.base.id,
            "licence": prepared.base.licence,
        },
    )


@dataclass(frozen=True)
class _Trial:
    """Seconds a step as a + b x cost; the cost of every batch of an epoch; the rest apiece.

    `shape_mb` is what stays in memory for one more shape, `shapes` how many were met.
    """

    line: tuple[float, float]
    costs: np.ndarray
    shape_mb: float
    shapes: int
    evaluation_seconds_a_row: float
    save_seconds: float


class _Chosen:
    """A few batches in place of a run's."""

    def __init__(self, batches: Sequence[list[int]]) -> None:
        self.batches = batches
        self.ends = [len(batches)]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)


class _Clock(Bar):
    """A bar that shows nothing and keeps the time of every step's end.

    Attributes:
        ends: seconds.
        resident: MB in use after each of the steps `marks`.
    """

    def __init__(self, marks: Sequence[int]) -> None:
        super().__init__("calibrating", None)
        self.ends: list[float] = []
        self.resident: list[float] = []
        self._marks = marks

    def advance(self, amount: float = 1) -> None:
        self.ends.append(time.perf_counter())
        if len(self.ends) in self._marks:
            trim_heap()
            self.resident.append(resident_mb())

    def note(self, text: str) -> None:
        """Nothing is shown."""


def _run_trial(request: TrainRequest, prepared: Prepared, steps: int) -> _Trial:
    loop, compact = make_loop(request, prepared, most_validation=VALIDATION_ROWS)
    lengths, settings = prepared.table.lengths, prepared.settings
    epoch = list(
        LengthBatches(lengths, settings.batch_rows, settings.batch_tokens, 1, settings.seed)
    )
    costs = np.array([float(rows * longest) for rows, longest in _shapes(epoch, lengths)])
    order = np.argsort(costs, kind="stable")
    places = [int(order[int(share * (len(order) - 1))]) for share in SHARES]
    new = _unlike(epoch, lengths, order)
    run = [int(order[-1]), *new, *(place for place in places for _ in range(WARM_UP + steps))]
    clock, spent = _Clock((1, 1 + len(new))), _Spent(loop.evaluate)
    chosen: Any = _Chosen([epoch[place] for place in run])
    averaged = 1.0 if settings.ema else 0.0  # so few steps would not be averaged otherwise
    still = replace(settings, learning_rate=0.0, ema=averaged)
    trial = replace(loop, batches=chosen, evaluate=spent, report_to=[], settings=still)
    fit(trial, clock, StopFlag())
    saving = time.perf_counter() - clock.ends[-1] - spent.seconds
    if compact is not None:
        compact.expand()
    times = [after - before for before, after in pairwise(clock.ends[len(new) :])]
    validation = min(VALIDATION_ROWS, request.dataset.info.rows.get("validation", 0))
    return _Trial(
        line=_line([costs[place] for place in run[1 + len(new) :]], times, WARM_UP + steps),
        costs=costs,
        shape_mb=max(0.0, clock.resident[-1] - clock.resident[0]) / max(1, len(new)),
        shapes=1 + len(new),
        evaluation_seconds_a_row=spent.seconds / max(1, validation),
        save_seconds=saving,
    )


def _shapes(batches: Sequence[list[int]], lengths: np.ndarray) -> list[tuple[int, int]]:
    """Rows and longest row of each batch."""
    return [(len(batch), int(lengths[batch].max())) for batch in batches]


def _unlike(epoch: Sequence[list[int]], lengths: np.ndarray, order: np.ndarray) -> list[int]:
    """A few batches of other shapes than the largest and than one another, of all costs."""
    shapes = _shapes(epoch, lengths)
    first = {shapes[place]: int(place) for place in order[::-1]}
    first.pop(shapes[int(order[-1])])
    places = list(first.values())
    spread = np.linspace(0, len(places) - 1, min(NEW_SHAPES, len(places)))
    return [places[int(at)] for at in spread]


def _kernels_mb(prepared: Prepared, trial: _Trial, rows: int) -> float:
    """What kernels of the shapes to come will keep, beyond those that the trial met."""
    settings = prepared.settings
    rng = np.random.default_rng(settings.seed)
    lengths = rng.choice(prepared.table.lengths, min(rows, MOST_COUNTED))
    size = (settings.batch_rows, settings.batch_tokens)
    batches = list(LengthBatches(lengths, *size, min(settings.epochs, 3), settings.seed))
    known = min(MOST_SHAPES, len(set(_shapes(batches, lengths))))
    return trial.shape_mb * max(0, known - trial.shapes)


class _Spent:
    """A call with its seconds."""

    def __init__(self, call: Callable[[], dict[str, float]]) -> None:
        self.call, self.seconds = call, 0.0

    def __call__(self) -> dict[str, float]:
        started = time.perf_counter()
        scores = self.call()
        self.seconds += time.perf_counter() - started
        return scores


def _line(costs: Sequence[float], times: Sequence[float], each: int) -> tuple[float, float]:
    """The line through (cost, median seconds) of every shape, each timed `each` times in a row."""
    starts = range(0, len(times), each)
    x = np.array([costs[start] for start in starts])
    y = np.array([float(np.median(times[start + WARM_UP : start + each])) for start in starts])
    if np.ptp(x) == 0:
        return float(y.mean()), 0.0
    slope = max(0.0, float(np.polyfit(x, y, 1)[0]))
    return max(0.0, float(y.mean() - slope * x.mean())), slope


def _forward_seconds(prepared: Prepared) -> float:
    """Seconds a row of answering as many rows as one batch of evaluation holds."""
    rows = max(1, int(EVAL_TOKENS / prepared.table.lengths.mean()))
    features = prepared.table.select(range(min(rows, MOST_FORWARD, len(prepared.table))))
    started = time.perf_counter()
    prepared.model.logits(features)
    return (time.perf_counter() - started) / max(1, len(features))


def _label_check(prepared: Prepared, rows: int, forward: float) -> float:
    task = prepared.model.task
    checked = task.head == "sequence" and len(task.spec.labels) >= 2 and not task.spec.multi_label
    if not checked or prepared.base.folder is None or rows > MOST_ROWS:
        return 0.0
    return rows * forward + 0.5
