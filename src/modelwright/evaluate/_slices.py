"""Where the model is weaker than on the whole: by length, by rarity of the label, by column."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modelwright.artifacts.dataset import SLICE_PREFIX
from modelwright.evaluate import _rows
from modelwright.evaluate._training import Training
from modelwright.evaluate.suites import Context
from modelwright.metrics import comparing
from modelwright.metrics.evidence import ClassEvidence, MultiLabelEvidence, SpanEvidence
from modelwright.tasks import Row

LEAST_ROWS = 20
MOST_VALUES = 12
_LENGTH_PARTS = 4
_FREQUENCY_PARTS = 3
_HISTOGRAM_BARS = 24


def slices(context: Context, training: Training) -> list[dict[str, Any]]:
    """Every way of slicing with the main metric of each part.

    A part is `below` when its 95% interval lies wholly below the value on all rows. With many
    parts about one in forty is marked by chance alone.
    """
    total = context.metrics[context.evidence.main].value
    found = []
    for kind, name, groups in _groupings(context, training):
        values = [
            _measured(context, value, index, total) for value, index in groups.items() if len(index)
        ]
        if len(values) > 1:
            found.append(
                {"kind": kind, "name": name, "metric": context.evidence.main, "values": values}
            )
    return found


def lengths(context: Context) -> dict[str, Any] | None:
    """Histogram of the rows' lengths, in tokens (or characters); None for images.

    The longest 1% are counted in the last bar, so that one long row doesn't flatten the rest.
    """
    length_N, unit = length_of_rows(context)
    if length_N is None:
        return None
    top = int(np.quantile(length_N, 0.99))
    width = max(1, -(-(top + 1) // _HISTOGRAM_BARS))
    edges = np.arange(0, top + 1 + width, width)
    counts, _ = np.histogram(np.minimum(length_N, top), bins=edges)
    return {
        "unit": unit,
        "edges": edges.tolist(),
        "counts": [int(count) for count in counts],
        "mean": float(length_N.mean()),
        "p50": float(np.quantile(length_N, 0.5)),
        "p95": float(np.quantile(length_N, 0.95)),
        "longest": int(length_N.max()),
        "truncated": sum(bool(feature.get("truncated")) for feature in context.features),
    }


def length_of_rows(context: Context) -> tuple[Any, str]:
    """(N,) length of each row and its unit; None for images."""
    if context.task.modality != "text":
        return None, ""
    if all("input_ids" in feature for feature in context.features):
        length_N = np.zeros(len(context.rows), dtype=np.int64)
        for feature in context.features:
            length_N[feature["example"]] += len(feature["input_ids"])
        return length_N, "tokens"
    return np.array([len(_rows.text_of(row)) for row in context.rows]), "characters"


def _groupings(
    context: Context, training: Training
) -> list[tuple[str, str, Mapping[str, Sequence[int]]]]:
    found: list[tuple[str, str, Mapping[str, Sequence[int]]]] = []
    length_N, unit = length_of_rows(context)
    if length_N is not None:
        found.append(("length", unit, _by_quantile(length_N, _LENGTH_PARTS)))
    frequency_N = _label_frequency(context, training)
    if frequency_N is not None:
        found.append(("label-frequency", "", _by_quantile(frequency_N, _FREQUENCY_PARTS)))
    if isinstance(context.evidence, SpanEvidence):
        groups = _by_unseen(context.evidence, context.rows, training.entities)
        found.append(("unseen-entities", "", groups))
    columns = [key for key in context.rows[0] if key.startswith(SLICE_PREFIX)]
    found += [
        ("column", key.removeprefix(SLICE_PREFIX), _by_column(context, key)) for key in columns
    ]
    return found


def _measured(context: Context, value: str, index: Sequence[int], total: float) -> dict[str, Any]:
    part = context.evidence.select(np.asarray(index, dtype=np.int64))
    found = comparing.main_interval(part, context.seed)
    return {
        "value": value,
        "rows": len(index),
        "score": found.value,
        "low": found.low,
        "high": found.high,
        "below": found.high < total,
    }


def _by_quantile(values_N: Any, parts: int) -> dict[str, Any]:
    """Row indices by range of a whole number; ranges hold about equally many rows."""
    inner = np.quantile(values_N, np.linspace(0, 1, parts + 1)[1:-1], method="higher")
    uppers = sorted({int(edge) for edge in inner} | {int(values_N.max())})
    part_N = np.searchsorted(uppers, values_N, side="left")
    found = {}
    for part in range(len(uppers)):
        mine = np.flatnonzero(part_N == part)
        if len(mine):
            low, high = int(values_N[mine].min()), int(values_N[mine].max())
            found[f"{low}" if low == high else f"{low}–{high}"] = mine
    return found


def _label_frequency(context: Context, training: Training) -> Any:
    """(N,) training rows of each row's own label; of its rarest where it has several."""
    evidence, counts = context.evidence, training.label_rows
    if not isinstance(evidence, (ClassEvidence, MultiLabelEvidence)) or not counts:
        return None
    frequency_C = np.array([counts.get(label, 0) for label in evidence.labels])
    if isinstance(evidence, ClassEvidence):
        return frequency_C[evidence.gold_N]
    most = int(frequency_C.max())
    return np.where(evidence.gold_NC, frequency_C[None, :], most).min(axis=1)


def _by_unseen(
    evidence: SpanEvidence, rows: Sequence[Row], known: set[tuple[str, ...]]
) -> dict[str, list[int]]:
    """Texts with entities by whether those are spelt as in a training row."""
    groups: dict[str, list[int]] = {"seen": [], "some-unseen": [], "all-unseen": []}
    for index, found in enumerate(evidence.gold_spans()):
        words = _rows.words_of(rows[index])
        new = [tuple(words[start:end]) not in known for start, end, _ in found]
        if new:
            name = "all-unseen" if all(new) else "some-unseen" if any(new) else "seen"
            groups[name].append(index)
    return groups


def _by_column(context: Context, key: str) -> dict[str, list[int]]:
    """Values with at least 20 rows, at most the 12 commonest; all of the 12 where none has 20."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(context.rows):
        groups["" if row[key] is None else str(row[key])].append(index)
    common = Counter({value: len(index) for value, index in groups.items()})
    top = [value for value, _ in common.most_common(MOST_VALUES)]
    large = [value for value in top if common[value] >= LEAST_ROWS]
    return {value: groups[value] for value in large or top}
