"""Which recorded inputs are worth a label: those the model is unsure of, or that lie where its
training rows do not; from every group of them one, and never two that say the same.

    worth      the larger of two: how unsure (1 - score), and how far from the nearest training row,
               0 where training rows are from each other at the median, 1/2 at their 95th percentile
    variety    k-means over the worthiest in the encoder's space, half as many groups as rows are
               wanted; the turn is the group's whose next row has the largest squared worth divided by what
               the group has given already (d'Hondt's rule)
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
POOL = 4
"""Rows that compete for each place."""
SAME = 0.97
"""Cosine from which two inputs say the same, in spaces as wide as those of sentence encoders."""
SAME_PART = 0.3
"""In narrower ones: so many times nearer than a training row's nearest usually is."""
_ROUNDS = 15


@dataclass(frozen=True)
class Chosen:
    """A row to label.

    Attributes:
        row: what was recorded.
        unsure: 1 - the score of the answer.
        far: 1 - cosine to the nearest training row.
        why: the larger of both: uncertain or drifted.
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
    known_RD = _known(_sample(reference, random), bundle, vectors_ND.shape[1])
    far_N = 1.0 - _nearest(vectors_ND, known_RD)
    middle, high = _usual(known_RD)
    foreign_N = np.clip((far_N - middle) / max(2 * (high - middle), 1e-6), 0.0, 1.0)
    same = max(SAME, 1.0 - SAME_PART * middle)
    worth_N = np.maximum(unsure_N, foreign_N)
    picked = pick(vectors_ND, worth_N, np.flatnonzero(far_N > 1.0 - same), (budget, same), random)
    return [
        Chosen(
            rows[i],
            round(float(unsure_N[i]), 4),
            round(float(far_N[i]), 4),
            "uncertain" if unsure_N[i] >= foreign_N[i] else "drifted",
            answers[i].get("label", answers[i].get("labels", answers[i].get("value"))),
        )
        for i in picked
    ]


def pick(
    vectors_ND: np.ndarray,
    worth_N: np.ndarray,
    allowed: np.ndarray,
    limits: tuple[int, float],
    random: np.random.Generator,
) -> list[int]:
    """Indices of the chosen rows, the worthiest first.

    Args:
        vectors_ND: of length 1.
        worth_N: of each row.
        allowed: rows to choose from.
        limits: most rows, and the cosine that no two of them reach.
        random: for seeds of groups, and among equals.
    """
    budget, same = limits
    allowed = random.permutation(allowed)  # of equal worth, any may come first
    pool = allowed[np.argsort(-worth_N[allowed], kind="stable")][: POOL * budget]
    if not len(pool):
        return []
    count = max(1, min(budget, len(pool)) // 2)
    group_P = _groups(vectors_ND[pool], worth_N[pool], count, random)
    waiting = {int(group): list(pool[group_P == group]) for group in np.unique(group_P)}
    given = dict.fromkeys(waiting, 0)
    chosen: list[int] = []
    while waiting and len(chosen) < budget:
        best = max(waiting, key=lambda group: worth_N[waiting[group][0]] ** 2 / (1 + given[group]))
        one = int(waiting[best].pop(0))
        if not chosen or (vectors_ND[chosen] @ vectors_ND[one]).max() < same:
            chosen.append(one)
            given[best] += 1
        if not waiting[best]:
            del waiting[best]
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


def _known(reference: Sequence[Any], bundle: Any, width: int) -> np.ndarray:
    """Vectors of training rows, [R, D]."""
    if not reference:
        return np.zeros((0, width), dtype=np.float32)
    return np.asarray(bundle.embed(list(reference)), dtype=np.float32)


def _nearest(vectors_ND: np.ndarray, known_RD: np.ndarray, *, itself: bool = False) -> np.ndarray:
    """Cosine of each vector to its nearest training row, [N]; 0 where there is none.

    Args:
        vectors_ND: of inputs.
        known_RD: of training rows.
        itself: the two are the same rows, and a row is not its own neighbour.
    """
    if len(known_RD) <= itself:
        return np.zeros(len(vectors_ND))
    found_N = np.empty(len(vectors_ND))
    for start in range(0, len(vectors_ND), 1000):
        cosines = vectors_ND[start : start + 1000] @ known_RD.T
        if itself:
            rows = np.arange(len(cosines))
            cosines[rows, start + rows] = -1.0
        found_N[start : start + 1000] = cosines.max(axis=1)
    return found_N


def _usual(known_RD: np.ndarray) -> tuple[float, float]:
    """How far training rows lie from their nearest: median and 95th percentile."""
    if len(known_RD) < 2:
        return 0.0, 0.0
    far_R = 1.0 - _nearest(known_RD, known_RD, itself=True)
    middle, high = np.quantile(far_R, [0.5, 0.95])
    return float(middle), float(high)


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
