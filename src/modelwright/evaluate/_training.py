"""What evaluation needs to know of the training rows: how often each label, which entities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from modelwright.artifacts.dataset import Dataset
from modelwright.evaluate import _rows
from modelwright.evaluate.suites import Context
from modelwright.metrics import spans
from modelwright.tasks import Row

_PICTURES = ("image",)
_BATCH = 4096


@dataclass
class Training:
    """Facts of the training rows.

    Attributes:
        rows: how many there are.
        label_rows: how often each label (or entity type) occurs.
        entities: spelling of every entity, word by word (token tasks).
        word_tags: tags of each word by count (token tasks).
    """

    rows: int = 0
    label_rows: Counter[str] = field(default_factory=Counter)
    entities: set[tuple[str, ...]] = field(default_factory=set)
    word_tags: dict[str, Counter[str]] = field(default_factory=dict)


def read_training(context: Context) -> Training:
    """Read the training rows once, in batches; pictures are left on the disk."""
    found = Training()
    for row in training_rows(context.dataset):
        found.rows += 1
        found.label_rows.update(context.task.row_labels(row))
        if context.task.head == "token":
            _add_tags(found, row)
    return found


def training_rows(dataset: Dataset) -> Iterator[Row]:
    """The training rows without their pictures."""
    table = dataset.table("train")
    table = table.drop_columns([name for name in _PICTURES if name in table.column_names])
    for batch in table.to_batches(max_chunksize=_BATCH):
        yield from batch.to_pylist()


def sampled_rows(dataset: Dataset, most: int, seed: int) -> list[Row]:
    """At most `most` training rows, drawn at random, in their order, pictures included."""
    table = dataset.table("train")
    if table.num_rows > most:
        drawn = np.random.default_rng(seed).choice(table.num_rows, most, replace=False)
        table = table.take(np.sort(drawn))
    return table.to_pylist()


def _add_tags(found: Training, row: Row) -> None:
    words, tags = _rows.words_of(row), row["tags"]
    for word, tag in zip(words, tags, strict=True):
        found.word_tags.setdefault(word, Counter())[tag] += 1
    found.entities.update(tuple(words[start:end]) for start, end, _ in spans.bio_to_spans(tags))
