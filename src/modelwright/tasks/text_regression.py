"""Text regression: a number for a text or a pair of texts (similarity, rating, price).

The target is learnt standardised (mean 0, deviation 1 on the training rows) and given back in its
own unit.

    task: text-regression
    data: {columns: {text: sentence1, text_pair: sentence2, target: score}}
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.errors import UserError
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

    from modelwright.metrics.evidence import RegressionEvidence

VERSION = 1
TARGET_ALIASES = (
    "target", "score", "rating", "value", "label", "similarity", "stars", "price", "y",
    "分数", "评分", "得分",
)  # fmt: skip


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class TextRegression(Task):
    """See the module."""

    name: ClassVar[str] = "text-regression"
    modality = "text"
    head = "sequence"
    metrics = ("spearman", "pearson", "rmse", "mae", "r2")
    roles: ClassVar[tuple[Role, ...]] = (
        Role("text", True, False, TEXT_ALIASES, "the text"),
        Role("text_pair", False, False, PAIR_ALIASES, "the second text of a pair"),
        Role("target", True, True, TARGET_ALIASES, "the number to predict"),
    )

    @property
    def main_metric(self) -> str:
        return "spearman"

    @classmethod
    def schema(cls, *, multi_label: bool, pair: bool) -> pa.Schema:
        import pyarrow as pa

        texts = ["text", "text_pair"] if pair else ["text"]
        return pa.schema(
            [*(pa.field(t, pa.string()) for t in texts), pa.field("target", pa.float64())]
        )

    @classmethod
    def canonical(cls, values: Mapping[str, Any], options: Mapping[str, Any]) -> Canonical:
        row: Row = {"text": required_text(values.get("text"), "text")}
        if "text_pair" in values:
            row["text_pair"] = required_text(values["text_pair"], "text_pair")
        row["target"] = _number(values.get("target"))
        return Canonical(row)

    @classmethod
    def row_labels(cls, row: Row) -> list[str]:
        return []

    @classmethod
    def learn_spec(cls, train: pa.Table, *, language: str, options: Mapping[str, Any]) -> TaskSpec:
        import numpy as np

        target = train["target"].to_numpy()
        if len(target) < 2 or float(np.ptp(target)) == 0.0:
            raise UserError(
                "MW-205",
                f"the target does not vary over the {len(target)} training rows",
                expected="numbers that differ",
                fix="check `data.columns.target`",
            )
        learnt = {
            "mean": float(target.mean()),
            "scale": float(target.std()),
            "low": float(target.min()),
            "high": float(target.max()),
        }
        pair = "text_pair" in train.column_names
        return TaskSpec(pair=pair, language=language, options={**options, **learnt})

    @property
    def outputs(self) -> int:
        return 1

    def example(self, row: Row) -> Any:
        return (
            {"text": row["text"], "text_pair": row["text_pair"]} if self.spec.pair else row["text"]
        )

    def encode(self, inputs: Sequence[Any], encoder: Any) -> list[Features]:
        return encode_texts(inputs, encoder, pair=self.spec.pair)

    def target(self, row: Row, feature: Features) -> Any:
        return [(row["target"] - self.spec.options["mean"]) / self.spec.options["scale"]]

    def loss(
        self, logits: torch.Tensor, targets: torch.Tensor, settings: LossSettings
    ) -> torch.Tensor:
        import torch.nn.functional as F

        return F.mse_loss(logits.float(), targets)

    def decode(
        self, logits: Sequence[np.ndarray], features: Sequence[Features]
    ) -> list[Prediction]:
        return [{"value": float(f"{value:.7g}")} for value in self._values(logits)]

    def _values(self, logits: Sequence[np.ndarray]) -> list[float]:
        mean, scale = self.spec.options["mean"], self.spec.options["scale"]
        return [float(row[0]) * scale + mean for row in logits]

    def evidence(
        self, rows: Sequence[Row], logits: Sequence[np.ndarray], features: Sequence[Features]
    ) -> RegressionEvidence:
        import numpy as np

        from modelwright.metrics.evidence import RegressionEvidence

        gold = np.array([row["target"] for row in rows], dtype=np.float64)
        return RegressionEvidence(gold, np.array(self._values(logits), dtype=np.float64))

    def agreement(self, first: Sequence[Prediction], second: Sequence[Prediction]) -> float:
        near = 0.01 * (self.spec.options["high"] - self.spec.options["low"])
        pairs = list(zip(first, second, strict=True))
        same = sum(abs(a["value"] - b["value"]) <= near for a, b in pairs)
        return same / len(pairs) if pairs else 1.0

    def input_schema(self) -> dict[str, Any]:
        return text_schema(pair=self.spec.pair)

    def output_schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"value": {"type": "number"}},
            "required": ["value"],
        }


def _number(value: Any) -> float:
    """A finite number from a number or its text."""
    if value is None or (isinstance(value, str) and not value.strip()):
        raise RowProblem("missing-label", "the target is empty")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise RowProblem("wrong-type", f"the target {value!r} is not a number") from None
    if not math.isfinite(number):
        raise RowProblem("missing-label", f"the target is {number}")
    return number
