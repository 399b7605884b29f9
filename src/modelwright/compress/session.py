"""What a search works with: teacher, rows, calls, and a folder that survives a kill.

validation rows ─┬▶ tuning          every candidate is scored on these
                 └▶ certification   opened once, when the candidates are final
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.artifacts.dataset import Dataset
from modelwright.compress.passes import Material
from modelwright.engines._latency import Call, calls
from modelwright.errors import UserError
from modelwright.metrics.evidence import Evidence
from modelwright.models.checkpoint import TrainedModel
from modelwright.recipe.schema import Compress, Effort
from modelwright.runtime.files import read_json, write_json
from modelwright.runtime.progress import say
from modelwright.tasks import Features, Row

LEAST_ROWS = 40
MINUTES: dict[Effort, float] = {"quick": 6.0, "standard": 20.0, "thorough": 60.0}
PROBE_ROWS = 2_000


@dataclass(frozen=True)
class CompressRequest:
    """What the stage needs.

    Attributes:
        compress: the recipe's section, its passes derived.
        teacher: the uncompressed model.
        training: its `training.json`, or as much of one as there is.
        dataset: training and validation rows are read, never the test rows.
        effort: the dial.
        seed: of every random choice.
        unlabelled: further inputs.
        folder: empty folder for the artifact.
        scratch: folder that survives a kill; measured points are kept in it.
    """

    compress: Compress
    teacher: TrainedModel
    training: dict[str, Any]
    dataset: Dataset
    effort: Effort
    seed: int
    unlabelled: Sequence[Any]
    folder: Path
    scratch: Path


class Rows(Sequence[Row]):
    """The rows of a split, read from disk as they are asked for."""

    def __init__(self, dataset: Dataset, split: str) -> None:
        self._table = dataset.table(split)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._table.slice(index % len(self), 1).to_pylist()[0]

    def __iter__(self) -> Iterator[Row]:
        for batch in self._table.to_batches(max_chunksize=2048):
            yield from batch.to_pylist()


@dataclass
class Part:
    """Rows with the features of an encoder, and what the teacher answers to them."""

    rows: list[Row]
    features: list[Features]
    logits: list[np.ndarray]
    evidence: Evidence


@dataclass
class Session:
    """A search in progress.

    Attributes:
        request: what was asked.
        material: what passes may look at.
        tuning: rows for scoring candidates.
        certification: rows for the proof.
        probe: the calls that latency is measured at.
        before: seconds that earlier, cut-off processes spent.
        row_seconds: that the teacher takes for a row; known once it answered the tuning rows.
    """

    request: CompressRequest
    material: Material
    tuning: list[Row]
    certification: list[Row]
    probe: list[Call]
    before: float = 0.0
    row_seconds: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.material = replace(self.material, deadline=time.monotonic() + self.left)

    @property
    def teacher(self) -> TrainedModel:
        return self.request.teacher

    @property
    def budget(self) -> float:
        """Seconds of the whole search."""
        return 60 * (self.request.compress.budget.minutes or MINUTES[self.request.effort])

    @property
    def spent(self) -> float:
        """Seconds so far, those of cut-off processes included."""
        return self.before + time.perf_counter() - self.started

    @property
    def left(self) -> float:
        return self.budget - self.spent

    def keep_time(self) -> None:
        """Write down what was spent, for a process that goes on."""
        write_json(self._kept_time, {"seconds": round(self.spent, 1)})

    def finish(self) -> None:
        """Forget what was spent: the next search in this folder has its whole budget."""
        self._kept_time.unlink(missing_ok=True)

    @property
    def _kept_time(self) -> Path:
        return self.request.scratch / "spent.json"

    @cached_property
    def answers(self) -> Part:
        """The teacher on the tuning rows."""
        began = time.perf_counter()
        found = self.part(self.teacher, self.tuning)
        self.row_seconds = (time.perf_counter() - began) / len(self.tuning)
        return found

    def part(self, model: Any, rows: list[Row]) -> Part:
        """A model on some rows."""
        features = model.task.encode([model.task.example(row) for row in rows], model.encoder)
        logits = model.logits(features)
        return Part(rows, features, logits, model.task.evidence(rows, logits, features))


def open_session(request: CompressRequest, settings: Any) -> Session:
    """Divide the validation rows and choose the calls.

    Args:
        settings: training settings for distillation.

    Raises:
        UserError: MW-203 with too few validation rows to search and prove with.
    """
    tuning, certification = request.dataset.tuning_and_certification(request.seed)
    count = len(tuning) + len(certification)
    if count < LEAST_ROWS:
        raise UserError(
            "MW-203",
            f"{count} validation rows are too few to choose a smaller model and to prove "
            "what it loses",
            expected=f"at least {LEAST_ROWS}; some 2,000 to prove a drop of one point",
            fix="add rows, or set `data.splits.validation` to a larger share",
        )
    rows = Rows(request.dataset, "train")
    teacher = request.teacher
    sample = rows[:: max(1, len(rows) // PROBE_ROWS)][:PROBE_ROWS]
    inputs = [teacher.task.example(row) for row in sample]
    material = Material(
        teacher=teacher,
        rows=rows,
        folder=request.scratch,
        seed=request.seed,
        settings=settings,
        tuning=tuning,
        unlabelled=request.unlabelled,
    )
    path = request.scratch / "spent.json"
    return Session(
        request,
        material,
        tuning,
        certification,
        calls(request.compress.batch, inputs, teacher),
        before=float(read_json(path)["seconds"]) if path.is_file() else 0.0,
    )


@contextmanager
def alone(scratch: Path) -> Iterator[None]:
    """Wait until no other process searches in this folder, and keep others out."""
    with (scratch / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("  another run makes the same search; waiting for it to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
