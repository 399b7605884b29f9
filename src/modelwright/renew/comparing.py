"""The gate: old and new model on the same rows, old test rows and new ones apart.

The renewed model passes when it is shown, at 95% confidence, to lose no more than the recipe's
`renew.max_drop` points on the old rows, and no more than that on the new ones. A label that a model
does not know counts as answered wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.engines import Bundle
from modelwright.errors import GateError
from modelwright.metrics.evidence import ClassEvidence, Evidence, MultiLabelEvidence
from modelwright.metrics.noninferiority import Drop, noninferiority


@dataclass(frozen=True)
class Verdict:
    """What was shown on one pool of rows.

    Attributes:
        pool: old or new.
        metric: the main one.
        drop: of the new model against the old one, with its upper bound.
        allowed: points that may be lost.
    """

    pool: str
    metric: str
    drop: Drop
    allowed: float

    @property
    def gained(self) -> float:
        """Points that are gained at least; negative where nothing is shown to be."""
        return -100 * self.drop.bound

    @property
    def holds(self) -> bool:
        return self.drop.within(self.allowed)

    @property
    def sentence(self) -> str:
        """In words."""
        drop = self.drop
        told = f"{self.metric} {drop.baseline:.4f} -> {drop.value:.4f} on {drop.rows:,} {self.pool}"
        if self.gained > 0:
            return f"{told} test rows: better by at least {self.gained:.2f} points"
        relation = "" if self.holds else "NOT shown: "
        return (
            f"{told} test rows: {relation}loses at most {100 * drop.bound:.2f} points, "
            f"{self.allowed:g} allowed"
        )

    def as_dict(self) -> dict[str, Any]:
        """For the record."""
        return {
            "pool": self.pool,
            "metric": self.metric,
            **asdict(self.drop),
            "gained_points": round(self.gained, 3),
            "allowed_points": self.allowed,
            "holds": self.holds,
        }


def compare(
    old: Path, new: Path, pools: dict[str, Sequence[dict[str, Any]]], allowed: float
) -> list[Verdict]:
    """Judge two bundles on pools of rows (name -> rows with truth); empty pools are left out."""
    models = [Bundle.open(old), Bundle.open(new)]
    try:
        found = []
        for name, rows in pools.items():
            if rows:
                before, after = _evidence(models, rows)
                drop = noninferiority(before, after)
                found.append(Verdict(name, before.main, drop, allowed))
        return found
    finally:
        for model in models:
            model.close()


def gate(verdicts: Sequence[Verdict]) -> None:
    """Raises GateError MW-655 with what was not shown, and by how much."""
    failed = [verdict for verdict in verdicts if not verdict.holds]
    if not failed:
        return
    worst = max(100 * verdict.drop.bound for verdict in failed)
    raise GateError(
        "MW-655",
        "; ".join(verdict.sentence for verdict in failed),
        expected=f"at most {failed[0].allowed:g} points lost at 95% confidence "
        "(renew.max_drop), on old and on new test rows",
        fix=f"label more rows, or more test rows; renew: {{max_drop: {worst + 0.05:.1f}}} would pass",
    )


def _evidence(models: Sequence[Bundle], rows: Sequence[dict[str, Any]]) -> list[Evidence]:
    """Both models' answers over one set of labels, so that rows can be paired."""
    tasks = [model.task for model in models]
    spec = tasks[0].spec
    features = [model.encode([model.task.example(row) for row in rows]) for model in models]
    logits = [model.logits(feature) for model, feature in zip(models, features, strict=True)]
    if not spec.labels:
        return [
            task.evidence(rows, logit, feature)
            for task, logit, feature in zip(tasks, logits, features, strict=True)
        ]
    carried = [task.row_labels(row) for row in rows for task in tasks[:1]]
    labels = tuple(
        sorted({*tasks[0].spec.labels, *tasks[1].spec.labels, *(n for one in carried for n in one)})
    )
    place = {label: number for number, label in enumerate(labels)}
    gold_NC = np.zeros((len(rows), len(labels)), dtype=bool)
    for number, names in enumerate(carried):
        gold_NC[number, [place[name] for name in names]] = True
    found: list[Evidence] = []
    for task, logit in zip(tasks, logits, strict=True):
        spread_NC = np.zeros((len(rows), len(labels)))
        columns = [place[label] for label in task.spec.labels]
        spread_NC[:, columns] = _probabilities(np.stack(logit), several=spec.multi_label)
        if spec.multi_label:
            found.append(MultiLabelEvidence(labels, gold_NC, spread_NC))
        else:
            found.append(ClassEvidence(labels, gold_NC.argmax(axis=1), spread_NC))
    return found


def _probabilities(logits_NC: np.ndarray, *, several: bool) -> np.ndarray:
    if several:
        return 1.0 / (1.0 + np.exp(-logits_NC))
    shifted = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
