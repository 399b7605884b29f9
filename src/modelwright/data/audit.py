"""The label audit: what the report says of the data, and what a person should look at."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from modelwright.data.chunks import split_labels
from modelwright.data.conflicts import conflicting, describe_conflicts
from modelwright.data.splitting import NAMES

if TYPE_CHECKING:
    from modelwright.data.rowstore import RowStore

_MOST_CLASSES = 2_000
_MOST_LISTED = 20
_IMBALANCE = 10.0
_FEW_ROWS = 10
_TAG_ROWS = 32_768
_SAMPLE_CHARACTERS = 2_000
_SAMPLE_IMAGES = 256


def audit(rows: RowStore, codes: np.ndarray) -> dict[str, Any]:
    """Classes, lengths, conflicts and label spellings of the rows that are left."""
    classes = class_counts(rows, codes)
    found: dict[str, Any] = {
        "classes": dict(list(classes.items())[:_MOST_CLASSES]),
        "only_in": only_in(classes),
        "imbalance": imbalance(classes),
        "label_variants": label_variants(list(classes)),
        "lengths": lengths(rows, codes),
        "conflicts": conflicts(rows),
    }
    if rows.kind.task.head == "token":
        found["labelled_words"] = labelled_words(rows, codes)
    return found


def class_counts(rows: RowStore, codes: np.ndarray) -> dict[str, dict[str, int]]:
    """Rows by class and split, the largest class first; a row counts for each of its classes."""
    counts = np.zeros((len(rows.label_names) or 1, 3), np.int64)
    alive = rows.alive
    np.add.at(counts, (rows.label_sets[alive], codes[alive]), 1)
    totals: dict[str, np.ndarray] = {}
    for joined, row in zip(rows.label_names, counts, strict=False):
        for label in split_labels(joined):
            totals[label] = totals.get(label, np.zeros(3, np.int64)) + row
    present = {label: row for label, row in totals.items() if row.sum()}
    ranked = sorted(present.items(), key=lambda item: (-int(item[1].sum()), item[0]))
    return {
        label: {name: int(n) for name, n in zip(NAMES, row, strict=True)} for label, row in ranked
    }


def only_in(classes: dict[str, dict[str, int]]) -> dict[str, list[str]]:
    """Classes that occur in a single split, by split."""
    found: dict[str, list[str]] = {}
    used = [name for name in NAMES if any(row[name] for row in classes.values())]
    for label, row in classes.items():
        where = [name for name in used if row[name]]
        if len(where) == 1 and len(used) > 1:
            found.setdefault(where[0], []).append(label)
    return {name: labels[:_MOST_LISTED] for name, labels in found.items()}


def imbalance(classes: dict[str, dict[str, int]]) -> dict[str, Any]:
    """The largest and the smallest class of the training rows, and their ratio."""
    train = [(row["train"], label) for label, row in classes.items() if row["train"]]
    if not train:
        return {}
    (most, largest), (least, smallest) = max(train), min(train)
    return {
        "largest": {"label": largest, "rows": most},
        "smallest": {"label": smallest, "rows": least},
        "ratio": round(most / least, 2),
    }


def label_variants(labels: list[str]) -> list[list[str]]:
    """Labels that differ only by case, spaces, - or _."""
    folded: dict[str, list[str]] = {}
    for label in labels:
        key = "".join(label.casefold().replace("-", " ").replace("_", " ").split())
        folded.setdefault(key, []).append(label)
    return [sorted(same) for same in folded.values() if len(same) > 1][:_MOST_LISTED]


def lengths(rows: RowStore, codes: np.ndarray) -> dict[str, dict[str, float]]:
    """Characters of the input text by split: mean, percentiles and the longest."""
    if rows.kind.task.modality != "text":
        return {}
    found = {}
    for code, name in enumerate(NAMES):
        chosen = rows.lengths[rows.alive & (codes == code)]
        if not len(chosen):
            continue
        p50, p95, p99 = np.percentile(chosen, (50, 95, 99), method="lower").tolist()
        found[name] = {
            "mean": round(float(chosen.mean()), 1),
            "p50": int(p50),
            "p95": int(p95),
            "p99": int(p99),
            "max": int(chosen.max()),
        }
    return found


def conflicts(rows: RowStore) -> dict[str, Any]:
    """Inputs that carry different targets in different rows; none in multi-label data."""
    if rows.kind.multi_label:
        return {"texts": 0, "rows": 0, "examples": []}
    return describe_conflicts(rows, conflicting(rows, rows.alive))


def labelled_words(rows: RowStore, codes: np.ndarray) -> dict[str, Any]:
    """Share of training words with a tag other than O, and words by tag."""
    import pyarrow as pa

    chosen = np.flatnonzero(rows.alive & (codes == 0))
    counts: Counter[str] = Counter()
    for start in range(0, len(chosen), _TAG_ROWS):
        tags = rows.take(chosen[start : start + _TAG_ROWS], list(rows.kind.targets)).column(0)
        flat = pa.chunked_array([chunk.flatten() for chunk in tags.chunks], type=pa.string())
        for pair in flat.value_counts().to_pylist():
            counts[str(pair["values"])] += pair["counts"]
    words = counts.total()
    tagged = words - counts["O"]
    return {
        "words": words,
        "labelled": tagged,
        "share": round(tagged / words, 4) if words else 0.0,
        "tags": dict(counts.most_common(_MOST_LISTED)),
    }


def text_sample(rows: RowStore, codes: np.ndarray, most: int) -> list[str]:
    """Some training texts, evenly spread; [] for images."""
    if rows.kind.task.modality != "text":
        return []
    chosen = np.flatnonzero(rows.alive & (codes == 0))
    step = max(1, len(chosen) // most)
    return [text[:_SAMPLE_CHARACTERS] for text in rows.contents(chosen[::step])]


def facts(rows: RowStore, codes: np.ndarray) -> dict[str, Any]:
    """What later stages derive settings from: text lengths or image sizes of the training rows."""
    if rows.kind.task.modality == "text":
        found = lengths(rows, codes).get("train", {})
        return {f"{name}_characters": value for name, value in found.items()}
    return image_sizes(rows, codes)


def image_sizes(rows: RowStore, codes: np.ndarray) -> dict[str, Any]:
    """Median and largest side, and the colour modes, of a sample of the training images."""
    import io

    from PIL import Image

    chosen = np.flatnonzero(rows.alive & (codes == 0))
    chosen = chosen[:: max(1, len(chosen) // _SAMPLE_IMAGES)]
    images = [Image.open(io.BytesIO(data)) for data in rows.contents(chosen)]
    if not images:
        return {}
    sizes = np.array([image.size for image in images])
    width, height = np.median(sizes, axis=0).astype(int).tolist()
    return {
        "width": width,
        "height": height,
        "max_side": int(sizes.max()),
        "modes": dict(Counter(image.mode for image in images).most_common()),
    }


def warnings(found: dict[str, Any]) -> list[str]:
    """What a person should look at, as sentences."""
    said = []
    for same in found["label_variants"]:
        said.append(f"labels differ only by spelling: {' / '.join(same)}")
    if found["imbalance"].get("ratio", 0) > _IMBALANCE:
        most, least = found["imbalance"]["largest"], found["imbalance"]["smallest"]
        said.append(
            f"classes are uneven: {most['label']} has {most['rows']:,} training rows, "
            f"{least['label']} {least['rows']:,}; consider `finetune.class_weights: balanced`"
        )
    few = [label for label, row in found["classes"].items() if 0 < row["train"] < _FEW_ROWS]
    if few:
        shown = ", ".join(few[:5]) + (" and others" if len(few) > 5 else "")
        said.append(f"{len(few)} classes have fewer than {_FEW_ROWS} training rows: {shown}")
    if conflicts_found := found["conflicts"]["texts"]:
        said.append(
            f"{conflicts_found:,} inputs carry different labels in different rows; "
            "the cleaner `label-conflicts` can settle that"
        )
    for label, count in list(found.get("unknown_labels", {}).items())[:_MOST_LISTED]:
        said.append(f"{count:,} held-out rows with {label} were dropped: no training row has it")
    missing = found["only_in"].get("train", [])
    if missing:
        shown = ", ".join(missing[:5]) + (" and others" if len(missing) > 5 else "")
        said.append(f"{len(missing)} classes are not tested: {shown}")
    return said
