"""Tagged tokens and the entities they spell.

    tags of a sentence ──▶ to_bio ──▶ repair_bio ──▶ bio_to_spans ──▶ entity_scores
                        BIOES, BILOU   invalid I-     (start, end,     exact match, as conlleval
                         become BIO    counted         type)           and seqeval count it
                                                                ╰──▶ span_counts (for intervals)

A tag is "O" or a prefix, "-" and a type ("B-PER"); a bare prefix has the type "". Spans end
exclusively. The rules are those of conlleval, the CoNLL-2000 and CoNLL-2003 scorer (Tjong Kim
Sang and Buchholz 2000): an I- that continues nothing starts a new span.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modelwright.metrics.inputs import Integers
from modelwright.metrics.scores import Averages, ClassScores, average, class_scores

Span: TypeAlias = tuple[int, int, str]
Tags: TypeAlias = Sequence[str]

_TO_BIO = {"B": "B", "S": "B", "U": "B", "I": "I", "E": "I", "L": "I"}
_CLOSING = frozenset("ELSU")


@dataclass(frozen=True)
class ScoreTable:
    """One row per name (entity type or tag, sorted), and the averages beneath them."""

    names: tuple[str, ...]
    scores: ClassScores
    averages: Averages


def to_bio(tags: Tags) -> list[str]:
    """BIO tags that spell the same spans as BIO, BIOES or BILOU tags.

    Only prefixes change. What follows a closing tag of its own type begins a new span; an I-
    that continues nothing stays as it is, for `repair_bio` to count. Raises ValueError on a tag
    of no scheme.
    """
    normal: list[str] = []
    previous_prefix, previous_type = "O", ""
    for position, tag in enumerate(tags):
        prefix, kind = _split(tag, position, allowed="OBIESLU")
        restarts = previous_prefix in _CLOSING and kind == previous_type
        normal.append("O" if prefix == "O" else _join("B" if restarts else _TO_BIO[prefix], kind))
        previous_prefix, previous_type = prefix, kind
    return normal


def repair_bio(tags: Tags) -> tuple[list[str], int]:
    """Valid BIO tags that spell the same spans, and the number of tags changed.

    An I-X at the start, after O or after another type becomes B-X.
    """
    repaired = list(tags)
    changes = 0
    previous_type = None
    for position, tag in enumerate(tags):
        prefix, kind = _split(tag, position, allowed="OBI")
        if prefix == "I" and kind != previous_type:
            repaired[position] = _join("B", kind)
            changes += 1
        previous_type = None if prefix == "O" else kind
    return repaired, changes


def bio_to_spans(tags: Tags) -> list[Span]:
    """Spans (start, end_exclusive, type) of one sentence, in order; none for no tags.

    Accepts BIO only: BIOES and BILOU tags raise ValueError, so that they aren't misread.
    """
    spans: list[Span] = []
    start, open_type = 0, None
    for position, tag in enumerate(tags):
        prefix, kind = _split(tag, position, allowed="OBI")
        if prefix == "I" and kind == open_type:
            continue
        if open_type is not None:
            spans.append((start, position, open_type))
        start, open_type = position, None if prefix == "O" else kind
    if open_type is not None:
        spans.append((start, len(tags), open_type))
    return spans


def span_types(*systems: Sequence[Iterable[Span]]) -> list[str]:
    """Types that occur in any of the systems' sentences, sorted."""
    return sorted({kind for system in systems for spans in system for _, _, kind in spans})


def span_counts(
    gold: Sequence[Iterable[Span]], predicted: Sequence[Iterable[Span]], types: Sequence[str]
) -> Integers:
    """Hits, false alarms and misses of each sentence, (N, 3T), as scores.py lays them out.

    A span is hit if start, end and type all agree; one listed twice counts once. For
    `intervals.bootstrap_from_counts`. Raises ValueError on no sentences, on sentence counts
    that differ and on a type that isn't in `types`.
    """
    _same_sentences(gold, predicted)
    column = {kind: index for index, kind in enumerate(types)}
    unknown = set(span_types(gold, predicted)) - set(column)
    if unknown:
        raise ValueError(f"spans have types that are not in types: {', '.join(sorted(unknown))}")
    counts = np.zeros((len(gold), 3, len(types)), dtype=np.int64)
    for row, gold_spans, predicted_spans in zip(
        counts, map(set, gold), map(set, predicted), strict=True
    ):
        parts = (
            gold_spans & predicted_spans,
            predicted_spans - gold_spans,
            gold_spans - predicted_spans,
        )
        for part, spans in enumerate(parts):
            for _, _, kind in spans:
                row[part, column[kind]] += 1
    return counts.reshape(len(gold), 3 * len(types))


def entity_scores(
    gold: Sequence[Iterable[Span]], predicted: Sequence[Iterable[Span]]
) -> ScoreTable:
    """Exact-match precision, recall, F1 and support per entity type, and their averages.

    One list of spans per sentence in each. All averages are 0 where there is no entity at all.
    """
    types = span_types(gold, predicted)
    return _table(types, span_counts(gold, predicted, types).sum(axis=0).reshape(3, -1))


def token_table(gold: Sequence[Tags], predicted: Sequence[Tags]) -> ScoreTable:
    """Precision, recall, F1 and support per tag, as in a plain classification report.

    "O" is a tag like the others, so that the micro average is the share of tokens that are
    right. Raises ValueError if a sentence has another number of tags in the two.
    """
    _same_sentences(gold, predicted)
    for sentence, (ours, theirs) in enumerate(zip(gold, predicted, strict=True)):
        if len(ours) != len(theirs):
            raise ValueError(
                f"sentence {sentence} has {len(ours)} gold tags but {len(theirs)} predicted tags"
            )
    gold_tokens = np.array([tag for tags in gold for tag in tags])
    predicted_tokens = np.array([tag for tags in predicted for tag in tags])
    if not gold_tokens.size:
        raise ValueError("gold is empty: at least one token is needed")
    names, ids = np.unique(np.concatenate([gold_tokens, predicted_tokens]), return_inverse=True)
    gold_ids, predicted_ids = np.split(ids, 2)
    return _table(names.tolist(), _token_counts(gold_ids, predicted_ids, len(names)))


def _token_counts(
    gold_ids: NDArray[np.intp], predicted_ids: NDArray[np.intp], tags: int
) -> Integers:
    hit = gold_ids == predicted_ids
    parts = (gold_ids[hit], predicted_ids[~hit], gold_ids[~hit])
    return np.stack([np.bincount(part, minlength=tags) for part in parts]).astype(np.int64)


def _table(names: Sequence[str], counts_3T: ArrayLike) -> ScoreTable:
    hits, false_alarms, misses = np.asarray(counts_3T)
    scores = class_scores(hits, false_alarms, misses)
    return ScoreTable(tuple(names), scores, average(scores))


def _same_sentences(gold: Sequence[object], predicted: Sequence[object]) -> None:
    if not gold:
        raise ValueError("gold is empty: at least one sentence is needed")
    if len(gold) != len(predicted):
        raise ValueError(f"gold has {len(gold)} sentences but predicted has {len(predicted)}")


def _split(tag: str, position: int, allowed: str) -> tuple[str, str]:
    """Prefix and type. A type may itself hold hyphens."""
    prefix, _, kind = tag.partition("-")
    if len(prefix) != 1 or prefix not in allowed or (prefix == "O" and tag != "O"):
        schemes = "BIO (see to_bio)" if allowed == "OBI" else "BIO, BIOES or BILOU"
        raise ValueError(f"tag {tag!r} at position {position} is not a tag of {schemes}")
    return prefix, kind


def _join(prefix: str, kind: str) -> str:
    return f"{prefix}-{kind}" if kind else prefix
