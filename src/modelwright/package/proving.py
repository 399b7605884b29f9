"""The parity gate: each variant, run by what will serve it, against the trained form on real rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelwright.formats import Draft
from modelwright.metrics.evidence import Evidence
from modelwright.metrics.timing import measure
from modelwright.tasks import Features, Row, Task

EXACT_AGREEMENT = 0.998
EXACT_DIFF = 2e-3
EXACT_COSINE = 0.9999
SPEED_SECONDS = 0.6
SPEED_BATCHES = (1, 8, 32)
ALONE = 32
"""Rows that are also run one by one, since a service meets them so."""


@dataclass(frozen=True)
class Reference:
    """The trained form's answers on the rows that prove.

    Attributes:
        rows: canonical rows.
        inputs: the same rows as users send them.
        features: encoded.
        logits: of the trained form.
    """

    task: Task
    rows: Sequence[Row]
    inputs: Sequence[Any]
    features: Sequence[Features]
    logits: Sequence[np.ndarray]

    @property
    def predictions(self) -> list[dict[str, Any]]:
        return self.task.decode(self.logits, self.features)

    def evidence(self, logits: Sequence[np.ndarray]) -> Evidence:
        return self.task.evidence(self.rows, logits, self.features)


def parity(variant: Any, reference: Reference) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Agreement and largest difference, in batches and one row at a time.

    Returns:
        `{"rows", "agreement", "max_abs_diff", "alone_max_abs_diff"}` and the variant's logits.
    """
    logits = variant.logits(reference.features)
    answers = reference.task.decode(logits, reference.features)
    alone = _spread(len(reference.features), ALONE)
    single = [variant.logits([reference.features[i]])[0] for i in alone]
    found = {
        "rows": len(reference.rows),
        "agreement": round(reference.task.agreement(reference.predictions, answers), 6),
        "max_abs_diff": _largest(reference.logits, logits),
        "alone_max_abs_diff": _largest([reference.logits[i] for i in alone], single),
    }
    return found, logits


def vector_parity(variant: Any, model: Any, reference: Reference) -> dict[str, Any]:
    """`{"dimensions", "vectors_min_cosine"}` of a variant against its network; {} without vectors."""
    if not variant.dimensions:
        return {}
    chosen = [reference.features[i] for i in _spread(len(reference.features), ALONE)]
    ours_ND, theirs_ND = variant.vectors(chosen), np.stack(model.vectors(chosen))
    lengths_N = np.linalg.norm(ours_ND, axis=1) * np.linalg.norm(theirs_ND, axis=1)
    cosine_N = (ours_ND * theirs_ND).sum(axis=1) / np.maximum(lengths_N, 1e-12)
    return {
        "dimensions": variant.dimensions,
        "vectors_min_cosine": round(float(cosine_N.min()), 6),
    }


def disagreement(draft: Draft, found: dict[str, Any]) -> str:
    """Why an exact variant must be refused, or nothing."""
    if not draft.exact:
        return ""
    if not found.get("vectors_min_cosine", 1.0) >= EXACT_COSINE:
        return f"vectors point elsewhere: cosine {found['vectors_min_cosine']}"
    if found["agreement"] < EXACT_AGREEMENT:
        return f"agrees on {found['agreement']:.4f} of the rows, {EXACT_AGREEMENT} needed"
    worst = float(np.max([found["max_abs_diff"], found["alone_max_abs_diff"]]))
    if not worst <= EXACT_DIFF:  # also when it is not a number
        return f"logits differ by up to {worst:.2g}, {EXACT_DIFF} allowed"
    return ""


def quality(evidence: Evidence, split: str, seed: int) -> dict[str, Any]:
    """Metrics with 95% intervals, as bundle.json has them."""
    return {
        "split": split,
        "rows": evidence.rows,
        "main": evidence.main,
        "metrics": {
            name: {"value": value.value, "low": value.low, "high": value.high}
            for name, value in evidence.intervals(seed=seed).items()
        },
    }


def speed(variant: Any, features: Sequence[Features]) -> list[dict[str, Any]]:
    """Latency by batch and length on real rows of median and 95th percentile length."""
    lengths = np.array([len(feature.get("input_ids", (0,))) for feature in features])
    order = np.argsort(lengths, kind="stable")
    measured: list[dict[str, Any]] = []
    for share in (0.5, 0.95) if lengths.max() > 1 else (0.5,):
        middle = int(share * (len(order) - 1))
        for batch in SPEED_BATCHES:
            start = max(0, min(middle - batch // 2, len(order) - batch))
            chosen = [features[i] for i in order[start : start + batch]]
            chosen = [chosen[i % len(chosen)] for i in range(batch)]
            times = measure(
                lambda rows=chosen: variant.logits(rows), seconds=SPEED_SECONDS, minimum=5
            )
            measured.append(
                {
                    "batch": batch,
                    "length": int(lengths[order[middle]]),
                    "p50_ms": round(times["p50_ms"], 3),
                    "p95_ms": round(times["p95_ms"], 3),
                    "per_second": round(1000.0 * batch / times["p50_ms"], 1),
                }
            )
    return measured


def _largest(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> float:
    return float(np.max([np.abs(a - b).max() for a, b in zip(first, second, strict=True)]))


def _spread(rows: int, wanted: int) -> list[int]:
    return sorted({int(i) for i in np.linspace(0, rows - 1, min(rows, wanted))})
