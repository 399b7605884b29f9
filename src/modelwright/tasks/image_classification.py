"""Image classification: one label, or several, for an image.

Rows are encoded images (PNG, JPEG, WebP, BMP, GIF, TIFF) with a label; folders named for classes
and MNIST-style idx files are sources of such rows.

    task: image-classification
    data: {source: photos/}
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
    RowProblem,
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

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import torch

    from modelwright.metrics.evidence import ClassEvidence, MultiLabelEvidence

VERSION = 1
MAX_BASE64 = 40_000_000


class Config(BaseModel):
    """Options of the task."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    multi_label: bool | None = Field(None, description="Several labels an image.")
    separator: str = Field("|", description="What separates several labels.", min_length=1)


@final
class ImageClassification(Task):
    """See the module."""

    name: ClassVar[str] = "image-classification"
    modality = "image"
    head = "sequence"
    metrics = CLASS_METRICS
    roles: ClassVar[tuple[Role, ...]] = (
        Role(
            "image", True, False, ("image", "img", "file", "path", "picture", "图片"), "the image"
        ),
        Role("label", True, True, LABEL_ALIASES, "the class, or a list of classes"),
    )

    @property
    def main_metric(self) -> str:
        return "micro_f1" if self.spec.multi_label else "accuracy"

    @classmethod
    def schema(cls, *, multi_label: bool, pair: bool) -> pa.Schema:
        import pyarrow as pa

        label = pa.list_(pa.string()) if multi_label else pa.string()
        return pa.schema([pa.field("image", pa.binary()), pa.field("label", label)])

    @classmethod
    def canonical(cls, values: Mapping[str, Any], options: Mapping[str, Any]) -> Canonical:
        from modelwright.encoders.image import open_image

        data = values.get("image")
        if isinstance(data, dict):
            data = data.get("bytes")
        if not data:
            raise RowProblem("missing-image", "the image is missing")
        if not isinstance(data, bytes):
            raise RowProblem("wrong-type", f"the image is {type(data).__name__}, not bytes")
        try:
            open_image(data)
        except ValueError as error:
            raise RowProblem("corrupt-image", str(error)) from error
        if options.get("multi_label"):
            label: Any = label_list(values.get("label"), str(options.get("separator", "|")))
        else:
            label = one_label(values.get("label"))
        return Canonical({"image": data, "label": label})

    @classmethod
    def row_labels(cls, row: Row) -> list[str]:
        label = row["label"]
        return list(label) if isinstance(label, list) else [label]

    @classmethod
    def learn_spec(cls, train: pa.Table, *, language: str, options: Mapping[str, Any]) -> TaskSpec:
        return classification_spec(train, language="", options=options)

    @property
    def outputs(self) -> int:
        return len(self.spec.labels)

    def example(self, row: Row) -> Any:
        return row["image"]

    def encode(self, inputs: Sequence[Any], encoder: Any) -> list[Features]:
        from modelwright.encoders.image import from_base64

        images = [
            from_base64(_base64(item)) if not isinstance(item, bytes) else item for item in inputs
        ]
        return [
            {"example": index, "pixels": pixels}
            for index, pixels in enumerate(encoder.pixels(images))
        ]

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
        image = {
            "type": "string",
            "contentEncoding": "base64",
            "contentMediaType": "image/*",
            "minLength": 1,
            "maxLength": MAX_BASE64,
        }
        wrapped = {
            "type": "object",
            "properties": {"image": image},
            "required": ["image"],
            "additionalProperties": False,
        }
        return {"anyOf": [image, wrapped]}

    def output_schema(self) -> dict[str, Any]:
        return class_schema(self.spec)


def _base64(item: Any) -> str:
    return item["image"] if isinstance(item, dict) else item
