"""Which recorded inputs are worth a label: those the model is unsure of, or that lie where its
training rows do not; from every group of them one, and never two that say the same.

    worth      the larger of two ranks: how unsure (1 - score), how far from the nearest training row
    variety    k-means over the worthiest in the encoder's space, as many groups as rows are wanted;
               each group gives its worthiest row that is not near a chosen one
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelwright.renew.traffic import Recorded

MOST_LOOKED_AT = 10_000
"""Recorded inputs that are embedded; of more a sample is taken."""
MOST_REFERENCE = 5_000
"""Training rows that inputs are compared with."""
POOL = 8
"""Rows that compete for each place."""
SAME = 0.97
"""Cosine from which two inputs say the same."""
_ROUNDS = 15


@dataclass(frozen=True)
class Chosen:
    """A row to label.

    Attributes:
        row: what was recorded.
        unsure: 1 - the score of the answer.
        far: 1 - cosine to the nearest training row.
        why: the larger of both ranks: uncertain or drifted.
        answer: what the model says.
    """

    row: Recorded
    unsure: float
    far: float
    why: str
    answer: Any


def choose(
    rows: Sequence[Recorded], bundle: Any, reference: Sequence[Any], budget: int, seed: int
) -> list[Chosen]:
    """At most `budget` rows, the worthiest first.

    Args:
        rows: candidates; those that the model cannot read are passed over.
        bundle: the opened bundle that is to be renewed.
        reference: inputs that it was trained on.
        budget: most rows.
        seed: of sampling and grouping.
    """
    random = np.random.default_rng(seed)
    rows = _distinct([row for row in rows if bundle.fault(row.input) is None])
    if len(rows) > MOST_LOOKED_AT:
        kept = np.sort(random.choice(len(rows), MOST_LOOKED_AT, replace=False))
        rows = [rows[i] for i in kept]
    if not rows:
        return []
    inputs = [row.input for row in rows]
    answers = bundle.predict(inputs)
    unsure_N = np.array([1.0 - float(one.get("score") or 0.0) for one in answers])
    vectors_ND = np.asarray(bundle.embed(inputs), dtype=np.float32)
    far_N = 1.0 - _nearest(vectors_ND, _sample(reference, random), bundle)
    ranks_2N = np.stack([_ranks(unsure_N), _ranks(far_N)])
    worth_N = ranks_2N.max(axis=0)
    picked = pick(vectors_ND, worth_N, np.flatnonzero(far_N > 1.0 - SAME), budget, random)
    return [
        Chosen(
            rows[i],
            round(float(unsure_N[i]), 4),
            round(float(far_N[i]), 4),
            "uncertain" if ranks_2N[0, i] >= ranks_2N[1, i] else "drifted",
            answers[i].get("label", answers[i].get("labels", answers[i].get("value"))),
        )
        for i in picked
    ]


def pick(
    vectors_ND: np.ndarray,
    worth_N: np.ndarray,
    allowed: np.ndarray,
    budget: int,
    random: np.random.Generator,
) -> list[int]:
    """Indices of at most `budget` rows, the worthiest first; none two nearer than `SAME`."""
    pool = allowed[np.argsort(-worth_N[allowed], kind="stable")][: POOL * budget]
    if not len(pool):
        return []
    group_P = _groups(vectors_ND[pool], worth_N[pool], min(budget, len(pool)), random)
    chosen: list[int] = []
    waiting = [pool[group_P == group] for group in np.unique(group_P)]
    while waiting and len(chosen) < budget:
        waiting.sort(key=lambda members: -worth_N[members[0]])
        left = []
        for members in waiting:  # each group gives one, then those that have more are asked again
            if len(chosen) == budget:
                break
            for place, one in enumerate(members):
                if not chosen or (vectors_ND[chosen] @ vectors_ND[one]).max() < SAME:
                    chosen.append(int(one))
                    left.append(members[place + 1 :])
                    break
        waiting = [members for members in left if len(members)]
    return sorted(chosen, key=lambda one: -worth_N[one])


def _distinct(rows: Sequence[Recorded]) -> list[Recorded]:
    """One row of those that differ in case, width, punctuation or spaces only."""
    found: dict[str, Recorded] = {}
    for row in rows:
        found.setdefault(plain_form(row.input), row)
    return list(found.values())


def plain_form(given: Any) -> str:
    """A text without what does not change what it says; empty texts keep their signs."""
    text = " ".join(map(str, given.values())) if isinstance(given, dict) else str(given)
    folded = unicodedata.normalize("NFKC", text).casefold()
    letters = "".join(c if c.isalnum() else " " for c in folded)
    return " ".join(letters.split()) or folded


def _sample(reference: Sequence[Any], random: np.random.Generator) -> list[Any]:
    if len(reference) <= MOST_REFERENCE:
        return list(reference)
    return [reference[i] for i in random.choice(len(reference), MOST_REFERENCE, replace=False)]


def _nearest(vectors_ND: np.ndarray, reference: Sequence[Any], bundle: Any) -> np.ndarray:
    """Cosine of each vector to its nearest training row, [N]."""
    if not reference:
        return np.zeros(len(vectors_ND))
    known_RD = np.asarray(bundle.embed(list(reference)), dtype=np.float32)
    parts = [part @ known_RD.T for part in np.array_split(vectors_ND, len(vectors_ND) // 1000 + 1)]
    return np.concatenate([part.max(axis=1) for part in parts])


def _ranks(values_N: np.ndarray) -> np.ndarray:
    """Ranks between 0 and 1; equal values share the mean of theirs."""
    _, place_N, count_U = np.unique(values_N, return_inverse=True, return_counts=True)
    middle_U = np.cumsum(count_U) - (count_U - 1) / 2.0
    return (middle_U / len(values_N))[place_N]


def _groups(
    vectors_PD: np.ndarray, worth_P: np.ndarray, count: int, random: np.random.Generator
) -> np.ndarray:
    """k-means with seeds far apart (k-means++), members weighted by their worth; group of each."""
    centres = [int(np.argmax(worth_P))]
    gap_P = 1.0 - vectors_PD @ vectors_PD[centres[0]]
    while len(centres) < count:
        weight_P = np.clip(gap_P, 0.0, None) * worth_P
        if weight_P.sum() <= 1e-9:
            break
        centres.append(int(random.choice(len(weight_P), p=weight_P / weight_P.sum())))
        gap_P = np.minimum(gap_P, 1.0 - vectors_PD @ vectors_PD[centres[-1]])
    centres_KD = vectors_PD[centres].copy()
    group_P = np.full(len(vectors_PD), -1)
    for _ in range(_ROUNDS):
        now_P = (vectors_PD @ centres_KD.T).argmax(axis=1)
        if (now_P == group_P).all():
            break
        group_P = now_P
        sums_KD = np.zeros_like(centres_KD)
        np.add.at(sums_KD, group_P, vectors_PD * worth_P[:, None])
        length_K = np.linalg.norm(sums_KD, axis=1)
        full_K = length_K > 0
        centres_KD[full_K] = sums_KD[full_K] / length_K[full_K, None]
    return group_P
