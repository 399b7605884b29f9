"""Runs batches of rows, isolates rows that make the model fail, puts jobs' answers together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np

from modelwright.encoders.batches import length_of
from modelwright.engines._bundle import unit
from modelwright.serve._cost import CostModel
from modelwright.serve._metrics import ModelMeters
from modelwright.serve._queue import Job, Row
from modelwright.serve._worker import settle

if TYPE_CHECKING:
    from modelwright.engines import Bundle


class RowError(Exception):
    """The model failed on one input, alone.

    Args:
        index: of the input in its request.
    """

    def __init__(self, index: int) -> None:
        super().__init__(f"the model failed on input {index}")
        self.index = index


@final
class Runner:
    """What a worker's threads do with the rows that they took.

    Args:
        bundle: its engine runs the batches; from several threads where it has several streams.
        cost: learns what calls take.
        meters: counts.
        drop: forgets the waiting rows of a job that failed.
    """

    def __init__(
        self, bundle: Bundle, cost: CostModel, meters: ModelMeters, drop: Callable[[Job], None]
    ) -> None:
        self._bundle, self._cost, self._meters, self._drop = bundle, cost, meters, drop
        self._widens = bundle.limits.multiple > 1  # rows are filled up to their common width
        self._lock = threading.Lock()

    def run(self, rows: Sequence[Row], *, one_by_one: bool) -> None:
        """Run rows of one width and settle the jobs that are complete with them."""
        now = time.monotonic()
        for row in rows:
            if not row.job.taken:
                row.job.taken = now
                self._meters.queue_seconds.observe(max(0.0, now - row.job.arrived))
        for batch in [[row] for row in rows] if one_by_one else _alike(rows):
            self._run(batch)
        self._settle(rows)

    def _run(self, rows: Sequence[Row]) -> None:
        """One call; where it fails each half again, so that a bad row fails alone."""
        rows = [row for row in rows if not row.job.dead]
        if not rows:
            return
        try:
            outputs = self._call(rows)
        except BaseException as error:  # noqa: BLE001 - it becomes the answer of the row that causes it
            if len(rows) == 1:
                self._fail(rows[0], error)
                return
            half = len(rows) // 2
            self._run(rows[:half])
            self._run(rows[half:])
            return
        for row, output in zip(rows, outputs, strict=True):
            if np.isfinite(output).all():
                row.job.outputs[row.place] = output
            else:
                self._fail(row, ValueError("the model's output is not a number"))

    def _call(self, rows: Sequence[Row]) -> list[Any]:
        features = [row.feature for row in rows]
        began = time.monotonic()
        vectors = rows[0].job.vectors
        call = self._bundle.vector_batch if vectors else self._bundle.run_batch
        outputs = list(call(features))
        seconds = time.monotonic() - began
        self._cost.learn(rows[0].width, len(rows), seconds)
        self._meters.inference_seconds.observe(seconds)
        self._meters.batch_size.observe(len(rows))
        lengths = [length_of(feature) for feature in features if "input_ids" in feature]
        if lengths:
            self._meters.read(lengths, rows[0].width if self._widens else max(lengths))
        return outputs

    def _fail(self, row: Row, error: BaseException) -> None:
        self._drop(row.job)
        failure = RowError(row.feature.get("example", row.place))
        failure.__cause__ = error
        settle([(row.job, failure)])

    def _settle(self, rows: Sequence[Row]) -> None:
        complete: list[Job] = []
        with self._lock:  # other streams may run other rows of the same job
            for row in rows:
                row.job.left -= 1
                if not row.job.left and not row.job.dead:
                    complete.append(row.job)
        if complete:
            settle([(job, _vectors(job)) for job in complete if job.vectors])
            settle(self._answers([job for job in complete if not job.vectors]))

    def _answers(self, jobs: list[Job]) -> list[tuple[Job, Any]]:
        """Predictions of each job, decoded together; each alone where that fails."""
        if not jobs:
            return []
        try:
            answers = self._decode(jobs)
        except BaseException as error:  # noqa: BLE001 - one job must not fail the others
            if len(jobs) == 1:
                return [(jobs[0], error)]
            return [result for job in jobs for result in self._answers([job])]
        self._meters.count(answers)
        results: list[tuple[Job, Any]] = []
        start = 0
        for job in jobs:
            results.append((job, answers[start : start + job.inputs]))
            start += job.inputs
        return results

    def _decode(self, jobs: list[Job]) -> list[Any]:
        features: list[Any] = []
        logits: list[Any] = []
        inputs = 0
        for job in jobs:
            features += [{**one, "example": one["example"] + inputs} for one in job.features]
            logits += job.outputs
            inputs += job.inputs
        answers = self._bundle.task.decode(logits, features)
        if len(answers) != inputs:
            raise RuntimeError(f"{inputs} inputs were answered by {len(answers)} predictions")
        return answers


def _alike(rows: Sequence[Row]) -> list[Sequence[Row]]:
    """Rows that want predictions and rows that want vectors, apart."""
    wanted = [row for row in rows if row.job.vectors]
    if not wanted or len(wanted) == len(rows):
        return [rows]
    return [[row for row in rows if not row.job.vectors], wanted]


def _vectors(job: Job) -> list[dict[str, Any]]:
    """What a job is answered that wants vectors, of length 1."""
    vectors_ND = unit(np.stack(job.outputs))
    return [
        {"embedding": vector, "tokens": length_of(feature)}
        for vector, feature in zip(vectors_ND, job.features, strict=True)
    ]
