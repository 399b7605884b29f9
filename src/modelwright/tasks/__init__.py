"""One file per task: what a row is, how it is encoded, learnt, decoded, scored, asked and answered.

A task is the only place that knows these, so training, evaluation, packaging and the service can't
disagree. `encode` and `decode` use numpy and tokenizers alone: they run where torch is not
installed. Methods that touch torch (`loss`) are called in training only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from modelwright import plugs

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import torch

    from modelwright.metrics.evidence import Evidence

Row = dict[str, Any]
"""A canonical row: the task's own columns, checked (see `Task.canonical`)."""

Features = dict[str, Any]
"""What the model reads of one example, as plain lists or numpy arrays, plus what `decode` needs."""

Prediction = dict[str, Any]
"""One example's answer, as the contract's JSON has it."""


class RowProblem(Exception):
    """A row that cannot be used; `reason` is the ledger's slug, `detail` says what was seen."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Role:
    """A column that a task reads.

    Attributes:
        name: the key under `data.columns`.
        required: whether the data must have it.
        target: whether it is what the model learns (absent at prediction time).
        aliases: column names recognised without being named in the recipe.
        summary: one sentence for docs and errors.
    """

    name: str
    required: bool
    target: bool
    aliases: tuple[str, ...]
    summary: str


@dataclass
class Canonical:
    """A checked row and the repairs that were made to it (ledger slugs)."""

    row: Row
    repairs: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TaskSpec:
    """What a trained task must remember; stored in the checkpoint and in the bundle.

    Attributes:
        labels: class names in index order (tags for token classification; empty for regression).
        multi_label: several labels a row.
        pair: whether rows have two texts.
        language: main language of the training text.
        options: the task's own settings and learnt constants (thresholds, target mean and scale).
    """

    labels: tuple[str, ...] = ()
    multi_label: bool = False
    pair: bool = False
    language: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LossSettings:
    """What shapes the loss: label smoothing in [0, 1) and a weight for each class, or None."""

    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None


class Task(ABC):
    """The interface of a task plug. Instances are cheap, immutable and hold no model."""

    name: ClassVar[str]
    modality: ClassVar[Literal["text", "image"]]
    roles: ClassVar[tuple[Role, ...]]
    head: ClassVar[Literal["sequence", "token"]]
    metrics: ClassVar[tuple[str, ...]]
    """Every name that `evidence(...).scores()` may hold; limits may speak of these."""

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec

    # -- data -------------------------------------------------------------------------------------
    @classmethod
    @abstractmethod
    def schema(cls, *, multi_label: bool, pair: bool) -> pa.Schema:
        """Arrow fields of a canonical row, without the bookkeeping columns."""

    @classmethod
    @abstractmethod
    def canonical(cls, values: Mapping[str, Any], options: Mapping[str, Any]) -> Canonical:
        """Check and normalise one source row; `values` is keyed by role name.

        Raises:
            RowProblem: the row cannot be used (empty-text, missing-label, ...).
        """

    @classmethod
    @abstractmethod
    def row_labels(cls, row: Row) -> list[str]:
        """The class names that a canonical row carries (entity types for tagging; [] for none)."""

    @classmethod
    @abstractmethod
    def learn_spec(cls, train: pa.Table, *, language: str, options: Mapping[str, Any]) -> TaskSpec:
        """Labels in index order and learnt constants, from the training rows."""

    # -- model ------------------------------------------------------------------------------------
    @property
    @abstractmethod
    def main_metric(self) -> str:
        """The metric that training maximises and limits speak of; higher is better."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Width of the head."""

    @abstractmethod
    def example(self, row: Row) -> Any:
        """The request input that corresponds to a canonical row (what a user would send)."""

    @abstractmethod
    def encode(self, inputs: Sequence[Any], encoder: Any) -> list[Features]:
        """Request inputs to features; a long input may give several, told apart by `example`.

        Args:
            inputs: as users send them, valid by `input_schema`.
            encoder: the TextEncoder or ImageEncoder that trained.
        """

    def input_fault(self, item: Any) -> tuple[str, str] | None:
        """What is wrong with an input that `input_schema` accepts: the field and a sentence."""
        return None

    @abstractmethod
    def target(self, row: Row, feature: Features) -> Any:
        """What the loss compares with one feature's logits: an int, a float, or an array."""

    @abstractmethod
    def loss(
        self, logits: torch.Tensor, targets: torch.Tensor, settings: LossSettings
    ) -> torch.Tensor:
        """Mean loss of a batch: logits [B, C] or [B, T, C], targets as `target` gave, stacked."""

    @abstractmethod
    def decode(
        self, logits: Sequence[np.ndarray], features: Sequence[Features]
    ) -> list[Prediction]:
        """Logits of each feature ([C] or [T, C]) to one answer an example, in order."""

    # -- judging ----------------------------------------------------------------------------------
    @abstractmethod
    def evidence(
        self, rows: Sequence[Row], logits: Sequence[np.ndarray], features: Sequence[Features]
    ) -> Evidence:
        """Truth and answers side by side, from which every metric is computed."""

    @abstractmethod
    def agreement(self, first: Sequence[Prediction], second: Sequence[Prediction]) -> float:
        """Share of examples for which two forms of a model give the same answer."""

    # -- serving ----------------------------------------------------------------------------------
    @abstractmethod
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of one example as a user sends it."""

    @abstractmethod
    def output_schema(self) -> dict[str, Any]:
        """JSON Schema of one prediction."""


def store_task(task: Task) -> dict[str, Any]:
    """A task as plain data."""
    return {"name": task.name, **asdict(task.spec)}


def restore_task(values: Mapping[str, Any]) -> Task:
    """A task from what `store_task` gave."""
    spec = {key: value for key, value in values.items() if key != "name"}
    spec["labels"] = tuple(spec["labels"])
    return plugs.load("task", values["name"]).cls(TaskSpec(**spec))


INTERFACE = Task
