"""Tables of token classification: entity types, tags, confused types, the worst texts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from modelwright.evaluate import _rows
from modelwright.evaluate._classes import average_rows, score_rows
from modelwright.metrics import spans
from modelwright.metrics.evidence import SpanEvidence
from modelwright.metrics.spans import ScoreTable, Span
from modelwright.tasks import Row

_EXAMPLES = 3
_MOST_PAIRS = 40


def entity_tables(evidence: SpanEvidence, train_entities: Counter[str]) -> dict[str, Any]:
    """`classes` and `averages` of entities, `tags` and `tag_averages` of words."""
    entities = spans.entity_scores(evidence.gold_spans(), evidence.predicted_spans())
    words = spans.token_table(evidence.gold_tags, evidence.predicted_tags)
    return {
        "classes": [
            {**row, "train_rows": train_entities.get(row["name"], 0)} for row in _table(entities)
        ],
        "averages": average_rows(entities.averages),
        "tags": _table(words),
        "tag_averages": average_rows(words.averages),
    }


def confused_types(evidence: SpanEvidence, rows: Sequence[Row]) -> dict[str, Any]:
    """Which types are taken for which, where gold and predicted entities overlap.

    An entity that nothing overlaps counts as taken for no entity (None); one of the right type but
    other bounds as taken for itself (a boundary error).
    """
    counts: Counter[tuple[str | None, str | None]] = Counter()
    examples: dict[tuple[str | None, str | None], list[dict[str, Any]]] = defaultdict(list)
    support = Counter(kind for row in evidence.gold_spans() for *_, kind in row)
    for index, (gold, ours) in enumerate(
        zip(evidence.gold_spans(), evidence.predicted_spans(), strict=True)
    ):
        for expected, found, span in _mistakes(gold, ours):
            counts[expected, found] += 1
            if len(examples[expected, found]) < _EXAMPLES:
                part = _rows.spelt(rows[index], span[0], span[1])
                examples[expected, found].append({**_rows.shown(rows[index]), "part": part})
    return {
        "labels": None,
        "matrix": None,
        "pairs": [
            {
                "gold": gold,
                "predicted": predicted,
                "count": count,
                "share": count / support[gold] if gold else None,
                "back": counts.get((predicted, gold), 0) if gold != predicted else 0,
                "boundary": gold == predicted,
                "examples": examples[gold, predicted],
            }
            for (gold, predicted), count in counts.most_common(_MOST_PAIRS)
        ],
    }


def _mistakes(
    gold: Sequence[Span], ours: Sequence[Span]
) -> list[tuple[str | None, str | None, Span]]:
    """(expected type, found type, span) of every entity that is not an exact match."""
    exact = set(gold) & set(ours)
    missed = [span for span in gold if span not in exact]
    wrong = [span for span in ours if span not in exact]
    found, used = [], set()
    for span in missed:
        overlapping = [other for other in wrong if other[0] < span[1] and span[0] < other[1]]
        used.update(overlapping)
        kinds = [other[2] for other in overlapping]
        best = span[2] if span[2] in kinds else (kinds[0] if kinds else None)
        found.append((span[2], best, span))
    found.extend((None, span[2], span) for span in wrong if span not in used)
    return found


def worst_texts(evidence: SpanEvidence, rows: Sequence[Row], most: int) -> list[dict[str, Any]]:
    """Texts with the most wrong entities, those the model was surest of first."""
    ranked = []
    for index, (gold, ours) in enumerate(
        zip(evidence.gold_spans(), evidence.predicted_spans(), strict=True)
    ):
        wrong = len(set(gold) ^ set(ours))
        if wrong:
            sure = evidence.confidences[index]
            ranked.append((-wrong, -sum(sure) / max(1, len(sure)), index))
    return [_worst(evidence, rows[index], index) for *_, index in sorted(ranked)[:most]]


def _worst(evidence: SpanEvidence, row: Row, index: int) -> dict[str, Any]:
    gold, ours = (
        spans.bio_to_spans(tags[index]) for tags in (evidence.gold_tags, evidence.predicted_tags)
    )
    sure = evidence.confidences[index]

    def listed(these: Sequence[Span], others: Sequence[Span]) -> list[dict[str, Any]]:
        return [
            {
                "text": _rows.spelt(row, span[0], span[1]),
                "label": span[2],
                "right": span in set(others),
            }
            for span in these
        ]

    return {
        **_rows.shown(row),
        "gold": listed(gold, ours),
        "predicted": listed(ours, gold),
        "wrong": len(set(gold) ^ set(ours)),
        "score": float(sum(sure) / len(sure)) if len(sure) else 0.0,
    }


def _table(table: ScoreTable) -> list[dict[str, Any]]:
    return score_rows(table.names, table.scores)
