"""Runs a distillation: the training loop of `train`, with a lesson as its objective.

A student's lesson lives in a scratch folder named by what determines it, so that a search that was
killed in the middle of one goes on there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from modelwright import plugs
from modelwright.artifacts.hashing import digest_json
from modelwright.compress.teaching import IGNORED, Lesson, Weights
from modelwright.runtime.device import stop_requests
from modelwright.runtime.progress import bar
from modelwright.tasks import LossSettings, Task
from modelwright.train.batches import LengthBatches
from modelwright.train.features import FeatureTable, encode_table
from modelwright.train.loop import Loop, fit
from modelwright.train.settings import rate_of
from modelwright.train.stage import class_weights

if TYPE_CHECKING:
    from modelwright.compress.passes import Material
    from modelwright.models.checkpoint import TrainedModel


def teach(
    student: TrainedModel,
    weights: Mapping[str, float],
    choice: Mapping[str, Any],
    material: Material,
) -> dict[str, Any]:
    """Train `student` in place to follow the teacher.

    Args:
        student: reads the same ids as the teacher.
        weights: of the loss, as `Weights` has them.
        choice: `epochs`, `layers`, `rate` (see the pass `distil`).
        material: teacher, rows, settings.

    Returns:
        `epochs` (fewer where the time was over), `steps`, `seconds`, `step_seconds`, `rate` and the
        scores of the tuning rows after every epoch.

    Raises:
        KeyboardInterrupt: asked to stop; the next call with the same arguments goes on.
    """
    folder = material.folder / f"lesson-{_key(student, weights, choice)}"
    folder.mkdir(parents=True, exist_ok=True)
    table = _table(student, material)
    settings = replace(
        material.settings,
        epochs=float(choice["epochs"]),
        learning_rate=float(choice.get("rate", _rate(student, material.settings.learning_rate))),
        early_stopping=0,
        seed=material.seed,
    )
    loop = Loop(
        model=student,
        table=table,
        batches=LengthBatches(
            table.lengths,
            settings.batch_rows,
            settings.batch_tokens,
            settings.epochs,
            settings.seed,
        ),
        settings=settings,
        loss=LossSettings(),
        evaluate=_evaluator(student, material),
        validation_rows=len(material.tuning),
        folder=folder,
        report_to=[],
        log_folder=folder,
        objective=lesson_of(student, weights, choice, material),
        deadline=material.deadline,
    )
    started = time.perf_counter()
    with stop_requests() as stop, bar("distilling", len(loop.batches)) as shown:
        outcome = fit(loop, shown, stop)
    material.teacher.network.to("cpu")  # it followed the student to the GPU
    return {
        "epochs": settings.epochs * outcome["steps"] / len(loop.batches),
        "steps": outcome["steps"],
        "rate": settings.learning_rate,
        "seconds": round(time.perf_counter() - started, 2),
        "step_seconds": outcome["step_seconds"],
        "scores": [
            round(entry[student.task.main_metric], 5) for entry in outcome["evaluations"]
        ],
    }  # fmt: skip


def _rate(student: TrainedModel, taught: float) -> float:
    """The rate of a lesson: the teacher's own, or that of full training where it is higher.

    Few classes are fine-tuned slowly, since what tells them apart is near at hand; a cut network
    has to find its whole way back, with the teacher's answers to keep it from overfitting.
    """
    usual = plugs.load("method", "full").cls.learning_rate
    return max(taught, rate_of(usual, student.network.head.in_features))


def lesson_of(
    student: TrainedModel,
    weights: Mapping[str, float],
    choice: Mapping[str, Any],
    material: Material,
) -> Lesson:
    """The objective of a distillation."""
    teacher = material.teacher
    layers = tuple(choice.get("layers") or ())
    given = Weights(**weights)
    if not layers:
        given = replace(given, hidden=0.0)
    tokenizer = getattr(teacher.encoder, "tokenizer", None)
    special = sorted(tokenizer.get_added_tokens_decoder()) if tokenizer is not None else []
    settings = material.settings
    classes = class_weights(material.rows, student.task, settings)
    loss = LossSettings(settings.label_smoothing, classes)
    return Lesson(teacher.network.eval(), student.task, layers, given, loss, tuple(special))


def _key(student: TrainedModel, weights: Mapping[str, float], choice: Mapping[str, Any]) -> str:
    """Names a lesson: what is taught, to which network."""
    shapes = [[name, list(value.shape)] for name, value in student.network.state_dict().items()]
    first = next(iter(student.network.parameters())).detach()
    start = float(first.double().sum())
    return digest_json([shapes, start, dict(weights), dict(choice)])[:12]


class Unlabelled:
    """Stands where a task does when inputs without labels are encoded."""

    def __init__(self, task: Task, like: Any) -> None:
        self.task = task
        filler = np.nan if np.asarray(like).dtype.kind == "f" else IGNORED
        self.blank = np.full_like(np.asarray(like), filler)

    def example(self, row: Any) -> Any:
        return row

    def encode(self, inputs: Sequence[Any], encoder: Any) -> list[dict[str, Any]]:
        return self.task.encode(inputs, encoder)

    def target(self, row: Any, feature: Mapping[str, Any]) -> Any:
        """No target: as many blanks as the feature has tokens, or one row's."""
        if self.task.head == "token":
            return np.full(len(feature["input_ids"]), IGNORED)
        return self.blank


def _table(student: TrainedModel, material: Material) -> FeatureTable:
    """Features of the labelled and the unlabelled rows, encoded once for an encoder."""
    folder = material.folder / f"features-{encoder_key(student)}"
    if not (folder / "columns.json").is_file():
        task, encoder = student.task, student.encoder
        table = encode_table(material.rows, len(material.rows), task, encoder, "encoding")
        if material.unlabelled:
            blank: Any = Unlabelled(task, table[0]["targets"])
            inputs, count = material.unlabelled, len(material.unlabelled)
            more = encode_table(inputs, count, blank, encoder, "encoding")
            table = table.joined(more)
        table.save(folder)
    return FeatureTable.open(folder)


def encoder_key(model: TrainedModel) -> str:
    """Names an encoder by what it does to text or pictures."""
    tokenizer = getattr(model.encoder, "tokenizer", None)
    told = tokenizer.to_str() if tokenizer is not None else ""
    return digest_json([told, repr(model.encoder.settings)])[:12]


def _evaluator(student: TrainedModel, material: Material) -> Any:
    """Scores of the tuning rows with the student as it is."""
    task, rows = student.task, list(material.tuning)
    features = task.encode([task.example(row) for row in rows], student.encoder)

    def evaluate() -> dict[str, float]:
        return task.evidence(rows, student.logits(features), features).scores()

    return evaluate
