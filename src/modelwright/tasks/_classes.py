"""What classification tasks share, whatever they classify: labels, loss, decoding, judging."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelwright.errors import UserError
from modelwright.tasks import LossSettings, Prediction, RowProblem, TaskSpec

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import torch

    from modelwright.metrics.evidence import ClassEvidence, MultiLabelEvidence

LABEL_ALIASES = (
    "label", "labels", "intent", "class", "category", "target", "sentiment", "topic", "tag",
    "tags", "y", "标签", "类别", "意图", "情感", "分类",
)  # fmt: skip
THRESHOLD = 0.5
CLASS_METRICS = (
    "accuracy", "macro_f1", "weighted_f1", "balanced_accuracy", "mcc", "log_loss", "ece",
    "micro_f1", "samples_f1", "subset_accuracy", "hamming_loss",
)  # fmt: skip
"""Of one label a row, then of several; the F1 averages are both's."""


def one_label(value: Any) -> str:
    """The value as one class name; numbers become their text.

    Raises:
        RowProblem: missing-label or wrong-type.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None or value != value or (isinstance(value, str) and not value.strip()):
        raise RowProblem("missing-label", "the label is empty")
    if not isinstance(value, (str, int, float)):
        raise RowProblem("wrong-type", f"the label is {type(value).__name__}")
    return str(value).strip()


def label_list(value: Any, separator: str) -> list[str]:
    """Several class names from a list or from text with a separator; sorted, each once.

    No label at all is a fact in multi-label data, so an empty list is kept.
    """
    if value is None:
        raise RowProblem("missing-label", "the labels are missing")
    items = value.split(separator) if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)):
        raise RowProblem("wrong-type", f"the labels are {type(value).__name__}, not a list")
    return sorted(
        {one_label(item) for item in items if not (isinstance(item, str) and not item.strip())}
    )


def natural_key(label: str) -> tuple[int, float, str]:
    """Sort finite numbers as numbers, before names."""
    try:
        number = float(label)
    except ValueError:
        number = math.nan
    return (0, number, label) if math.isfinite(number) else (1, 0.0, label)


def classification_spec(train: pa.Table, *, language: str, options: Mapping[str, Any]) -> TaskSpec:
    """The classes of the training rows, in natural order.

    Raises:
        UserError: MW-205 when there are fewer than two.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    column = train["label"]
    multi_label = pa.types.is_list(column.type)
    flat = pc.list_flatten(column) if multi_label else column
    labels = sorted((str(value) for value in pc.unique(flat).to_pylist()), key=natural_key)
    if len(labels) < 2:
        raise UserError(
            "MW-205",
            f"the training rows carry {len(labels)} class{'es' if not labels else ''}: {labels}",
            expected="at least two classes to tell apart",
            fix="check `data.columns.label`, or add rows of another class",
        )
    return TaskSpec(
        labels=tuple(labels),
        multi_label=multi_label,
        pair="text_pair" in train.column_names,
        language=language,
        options=dict(options),
    )


def class_target(label: str | list[str], spec: TaskSpec) -> Any:
    """Class index, or a 0/1 vector over the classes."""
    index = {name: number for number, name in enumerate(spec.labels)}
    if isinstance(label, str):
        return index[label]
    return [1.0 if name in label else 0.0 for name in spec.labels]


def classification_loss(
    logits: torch.Tensor, targets: torch.Tensor, settings: LossSettings, *, multi_label: bool
) -> torch.Tensor:
    """Cross entropy, or binary cross entropy for several labels a row."""
    import torch
    import torch.nn.functional as F

    weights = settings.class_weights
    weight = None if weights is None else torch.tensor(weights, device=logits.device)
    if multi_label:
        smooth = settings.label_smoothing
        targets = targets * (1 - smooth) + smooth / 2
        return F.binary_cross_entropy_with_logits(logits.float(), targets, pos_weight=weight)
    return F.cross_entropy(
        logits.float(), targets, weight=weight, label_smoothing=settings.label_smoothing
    )


def softmax(logits_NC: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis, in float64 for stable sums."""
    import numpy as np

    shifted = logits_NC.astype(np.float64)
    shifted = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def probabilities(logits: Sequence[np.ndarray], spec: TaskSpec) -> np.ndarray:
    """[N, C] probabilities: softmax, or a sigmoid a class."""
    import numpy as np

    if not len(logits):
        return np.zeros((0, len(spec.labels)))
    stacked = np.stack(list(logits))
    if spec.multi_label:
        return 1.0 / (1.0 + np.exp(-stacked.astype(np.float64)))
    return softmax(stacked)


def decode_classes(logits: Sequence[np.ndarray], spec: TaskSpec) -> list[Prediction]:
    """The best class with its probability, or every class over the threshold."""
    found: list[Prediction] = []
    rows = probabilities(logits, spec)
    for row, rounded in zip(rows, rows.round(6).tolist(), strict=True):
        scores = dict(zip(spec.labels, rounded, strict=True))
        if spec.multi_label:
            chosen = [name for name, value in scores.items() if value >= THRESHOLD]
            found.append({"labels": chosen, "score": max(scores.values()), "scores": scores})
        else:
            best = int(row.argmax())
            found.append(
                {"label": spec.labels[best], "score": scores[spec.labels[best]], "scores": scores}
            )
    return found


def class_evidence(
    gold: Sequence[Any], logits: Sequence[np.ndarray], spec: TaskSpec
) -> ClassEvidence | MultiLabelEvidence:
    """Truth and probabilities side by side."""
    import numpy as np

    from modelwright.metrics.evidence import ClassEvidence, MultiLabelEvidence

    probabilities_NC = probabilities(logits, spec)
    targets = np.array([class_target(label, spec) for label in gold])
    if spec.multi_label:
        return MultiLabelEvidence(spec.labels, targets.astype(bool), probabilities_NC, THRESHOLD)
    return ClassEvidence(spec.labels, targets.astype(np.int64), probabilities_NC)


def same_labels(first: Sequence[Prediction], second: Sequence[Prediction]) -> float:
    """Share of examples with the same label (or the same set of labels)."""
    key = "labels" if first and "labels" in first[0] else "label"
    equal = sum(a[key] == b[key] for a, b in zip(first, second, strict=True))
    return equal / len(first) if first else 1.0


def class_schema(spec: TaskSpec) -> dict[str, Any]:
    """JSON Schema of one answer."""
    name: dict[str, Any] = {"type": "string", "enum": list(spec.labels)}
    probability = {"type": "number", "minimum": 0, "maximum": 1}
    scores = {
        "type": "object",
        "properties": dict.fromkeys(spec.labels, probability),
        "additionalProperties": False,
    }
    answer = {"labels": {"type": "array", "items": name}} if spec.multi_label else {"label": name}
    return {
        "type": "object",
        "properties": {**answer, "score": probability, "scores": scores},
        "required": [*answer, "score"],
    }
