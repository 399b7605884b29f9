"""How good and how sure: metrics, classes, confusion, calibration, slices, baselines.

Everything is measured on rows that training has not seen. Intervals are 95%: Wilson for shares,
bootstrap otherwise. A slice is marked when its interval lies wholly below the value on all rows.
Baselines learn from the same training rows and answer the same test rows; the model's lead over
each is tested in pairs. Rows that are probably labelled wrongly are found by confident learning.

    evaluate: {suites: [{quality: {errors: 100, baselines: false}}, speed]}
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.evaluate.suites import Context, Suite

if TYPE_CHECKING:
    from modelwright.evaluate._training import Training

VERSION = 1
REQUIRES = {"sklearn": "train", "scipy": "train"}


class Config(BaseModel):
    """Options of the quality suite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    errors: int = Field(50, ge=0, le=1000, description="Wrong rows listed, the surest first.")
    mislabelled: int = Field(
        100, ge=0, le=1000, description="Probably mislabelled rows listed; all are counted."
    )
    baselines: bool = Field(True, description="Compare with simple methods on the same rows.")
    baseline_rows: int = Field(
        50_000, ge=100, description="Training rows that a baseline learns from, at most."
    )


@final
class Quality(Suite):
    """Measures how good the answers are and how far the figures can be trusted."""

    config: Config

    def measure(self, context: Context) -> dict[str, Any]:
        """See the module."""
        from modelwright.evaluate import _baselines, _classes, _errors, _slices, _training

        training = _training.read_training(context)
        report: dict[str, Any] = {
            "rows": len(context.rows),
            "train_rows": training.rows,
            "main": context.evidence.main,
            "metrics": {name: asdict(value) for name, value in context.metrics.items()},
            **_tables(context, training),
            "calibration": _classes.calibrated(context.evidence, context.logits),
            "lengths": _slices.lengths(context),
            "slices": _slices.slices(context, training),
            "errors": _errors.worst(context.evidence, context.rows, self.config.errors),
            "wrong": int((~context.evidence.correct()).sum()),
            "mislabelled": _mislabelled(context, self.config.mislabelled),
            "baselines": [],
        }
        if self.config.baselines:
            report["baselines"] = _baselines.baselines(context, training, self.config.baseline_rows)
        return report


def _tables(context: Context, training: Training) -> dict[str, Any]:
    """What only one kind of evidence has."""
    from modelwright.evaluate import _classes, _numbers, _spans
    from modelwright.metrics import evidence as kinds

    evidence = context.evidence
    if isinstance(evidence, kinds.ClassEvidence):
        table = _classes.class_table(evidence, training.label_rows)
        return {**table, "confusion": _classes.confusion(evidence, context.rows)}
    if isinstance(evidence, kinds.MultiLabelEvidence):
        return _classes.class_table(evidence, training.label_rows)
    if isinstance(evidence, kinds.SpanEvidence):
        table = _spans.entity_tables(evidence, training.label_rows)
        return {**table, "confusion": _spans.confused_types(evidence, context.rows)}
    if isinstance(evidence, kinds.RegressionEvidence):
        return {
            "residuals": _numbers.residuals(evidence),
            "points": _numbers.points(evidence, context.rows, context.seed),
        }
    return {}


def _mislabelled(context: Context, most: int) -> dict[str, Any] | None:
    from modelwright.evaluate import _errors
    from modelwright.metrics.evidence import ClassEvidence

    evidence = context.evidence
    if not isinstance(evidence, ClassEvidence):
        return None
    return _errors.likely_mislabelled(
        context.rows, evidence.gold_N, evidence.probabilities_NC, evidence.labels, most
    )
