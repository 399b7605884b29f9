"""Text classification: one or several labels for a text or a pair of texts.

A row is a text (and, for pairs, a second one) with a label, or with a list of labels. Several
labels a row make the task multi-label: each class is then its own yes-or-no question with a
threshold of 0.5.

    task: text-classification
    data: {columns: {text: question, label: intent}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.tasks import (
    Canonical,
    Features,
    LossSettings,
    Prediction,
    Role,
    Row,
    Task,
    TaskSpec,
)
from modelwright.tasks._classes import (
    CLASS_METRICS,
    LABEL_ALIASES,
    class_evidence,
    class_schema,
    class_target,
    classification_loss,
    classification_spec,
    decode_classes,
    label_list,
    one_label,
    same_labels,
)
from modelwright.tasks._texts import (
    PAIR_ALIASES,
    TEXT_ALIASES,
    encode_texts,
    required_text,
    text_schema,
)

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import torch

    from modelwright.metrics.evidence import ClassEvidence, MultiLabelEvidence

VERSION = 1


class Config(BaseModel):
    """Options of the task."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    multi_label: bool | None = Field(
        None, description="Several labels a row; found from the data when not given."
    )
    separator: str = Field(
        "|", description="What separates several labels in one text column.", min_length=1
    )


@final
class TextClassification(Task):
    """See the module."""

    name: ClassVar[str] = "text-classification"
    modality = "text"
    head = "sequence"
    metrics = CLASS_METRICS
    roles: ClassVar[tuple[Role, ...]] = (
        Role("text", True, False, TEXT_ALIASES, "the text to classify"),
        Role("text_pair", False, False, PAIR_ALIASES, "the second text of a pair"),
        Role("label", True, True, LABEL_ALIASES, "the class, or a list of classes"),
    )

    @property
    def main_metric(self) -> str:
        return "micro_f1" if self.spec.multi_label else "accuracy"

    @classmethod
    def schema(cls, *, multi_label: bool, pair: bool) -> pa.Schema:
        import pyarrow as pa

        label = pa.list_(pa.string()) if multi_label else pa.string()
        fields = [pa.field("text", pa.string()), pa.field("label", label)]
        if pair:
            fields.insert(1, pa.field("text_pair", pa.string()))
        return pa.schema(fields)

    @classmethod
    def canonical(cls, values: Mapping[str, Any], options: Mapping[str, Any]) -> Canonical:
        row: Row = {"text": required_text(values.get("text"), "text")}
        if "text_pair" in values:
            row["text_pair"] = required_text(values["text_pair"], "text_pair")
        if options.get("multi_label"):
            row["label"] = label_list(values.get("label"), str(options.get("separator", "|")))
        else:
            row["label"] = one_label(values.get("label"))
        return Canonical(row)

    @classmethod
    def row_labels(cls, row: Row) -> list[str]:
        label = row["label"]
        return list(label) if isinstance(label, list) else [label]

    @classmethod
    def learn_spec(cls, train: pa.Table, *, language: str, options: Mapping[str, Any]) -> TaskSpec:
        return classification_spec(train, language=language, options=options)

    @property
    def outputs(self) -> int:
        return len(self.spec.labels)

    def example(self, row: Row) -> Any:
        return (
            {"text": row["text"], "text_pair": row["text_pair"]} if self.spec.pair else row["text"]
        )

    def encode(self, inputs: Sequence[Any], encoder: Any) -> list[Features]:
        features = encode_texts(inputs, encoder, pair=self.spec.pair)
        for index, feature in enumerate(features):
            feature["example"] = index
        return features

    def target(self, row: Row, feature: Features) -> Any:
        return class_target(row["label"], self.spec)

    def loss(
        self, logits: torch.Tensor, targets: torch.Tensor, settings: LossSettings
    ) -> torch.Tensor:
        return classification_loss(logits, targets, settings, multi_label=self.spec.multi_label)

    def decode(
        self, logits: Sequence[np.ndarray], features: Sequence[Features]
    ) -> list[Prediction]:
        return decode_classes(logits, self.spec)

    def evidence(
        self, rows: Sequence[Row], logits: Sequence[np.ndarray], features: Sequence[Features]
    ) -> ClassEvidence | MultiLabelEvidence:
        return class_evidence([row["label"] for row in rows], logits, self.spec)

    def agreement(self, first: Sequence[Prediction], second: Sequence[Prediction]) -> float:
        return same_labels(first, second)

    def input_schema(self) -> dict[str, Any]:
        return text_schema(pair=self.spec.pair)

    def output_schema(self) -> dict[str, Any]:
        return class_schema(self.spec)
