"""One file per question asked of a trained model: quality, speed, ...

A suite measures; it does not judge. What it returns goes into `report.json` under its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    import numpy as np

    from modelwright.artifacts.dataset import Dataset
    from modelwright.evaluate import Model
    from modelwright.metrics.evidence import Evidence
    from modelwright.metrics.intervals import Interval
    from modelwright.tasks import Features, Row, Task


@dataclass(frozen=True)
class Context:
    """What every suite is given.

    Attributes:
        task: the task with its learnt labels.
        model: the model under test.
        dataset: all rows, the training rows among them.
        split: the split that `rows` are from.
        rows: canonical rows with `_row`, `_file`, `_line` and `slice:NAME`.
        features: the rows encoded, without pixels; a long row may have several.
        logits: the model's raw answer to each feature.
        evidence: truth and answers side by side.
        metrics: every metric of the evidence with its 95% interval.
        seed: of every random choice.
    """

    task: Task
    model: Model
    dataset: Dataset
    split: str
    rows: Sequence[Row]
    features: Sequence[Features]
    logits: Sequence[np.ndarray]
    evidence: Evidence
    metrics: Mapping[str, Interval]
    seed: int


class Suite(ABC):
    """The interface of a suite plug.

    Args:
        config: the plug's `Config`.
    """

    def __init__(self, config: BaseModel) -> None:
        self.config = config

    @abstractmethod
    def measure(self, context: Context) -> dict[str, Any]:
        """What was found, as plain JSON data (finite numbers, text, lists, dictionaries)."""


INTERFACE = Suite
