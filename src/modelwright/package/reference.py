"""Statistics of the training data that drift is measured against; no raw rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.artifacts.dataset import Dataset
from modelwright.metrics.evidence import ClassEvidence, Evidence
from modelwright.package.proving import Reference
from modelwright.runtime.files import write_json


def write_reference(
    folder: Path, dataset: Dataset, reference: Reference, evidence: Evidence
) -> None:
    """Write `reference.json`: input lengths, labels, predicted labels, confidence, language."""
    folder.mkdir(parents=True, exist_ok=True)
    lengths = np.array([len(feature.get("input_ids", ())) for feature in reference.features])
    values: dict[str, Any] = {
        "rows": len(reference.rows),
        "language": dataset.info.language,
        "tokens": _histogram(lengths),
        "labels": dataset.info.audit.get("classes", {}),
        "predicted": _predicted(reference),
        "facts": dataset.info.facts,
    }
    if isinstance(evidence, ClassEvidence):
        counts, edges = np.histogram(evidence.confidence_N, bins=20, range=(0.0, 1.0))
        values["confidence"] = {"counts": counts.tolist(), "edges": edges.tolist()}
    write_json(folder / "reference.json", values)


def _histogram(lengths: np.ndarray) -> dict[str, Any]:
    edges = [0, *(2**power for power in range(1, 14))]
    counts, _ = np.histogram(lengths, bins=edges)
    return {"counts": counts.tolist(), "edges": edges, "mean": float(lengths.mean())}


def _predicted(reference: Reference) -> dict[str, int]:
    found: Counter[str] = Counter()
    for answer in reference.predictions:
        if "label" in answer:
            found[answer["label"]] += 1
        found.update(answer.get("labels", ()))
        found.update(entity["label"] for entity in answer.get("entities", ()))
    return dict(found.most_common())
