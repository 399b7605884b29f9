"""Does a cheaper model lose no more than is allowed? A bound, not a guess.

The drop is the main metric of the baseline less that of the candidate on the same rows. It is
shown to be small when its one-sided upper bound lies below what is allowed.

    a share of rows (accuracy)     Tango's score interval for paired shares (Statistics in Medicine
                                   17, 1998): McNemar's test with a margin. It stays honest where
                                   hardly any row tells the two apart, as a bootstrap does not.
    a measure of sums of counts    paired bootstrap, with one imagined row that only the baseline
    (F1) or any other              answers right, for the same reason
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from modelwright.metrics import intervals, scores
from modelwright.metrics.comparing import outcomes
from modelwright.metrics.evidence import ClassEvidence, Evidence
from modelwright.metrics.resampling import resampled_statistic

_RESAMPLES = 4000
_SLOW_RESAMPLES = 400


@dataclass(frozen=True)
class Drop:
    """What a candidate loses, as fractions of the main metric.

    Attributes:
        method: how the bound was found.
        alpha: chance that the true drop lies above `bound`.
        rows: rows that both answered.
        baseline: main metric of the baseline.
        value: main metric of the candidate.
        drop: baseline less value.
        bound: one-sided upper confidence bound of the drop.
        only_baseline: rows that only the baseline answered right.
        only_candidate: rows that only the candidate answered right.
    """

    method: str
    alpha: float
    rows: int
    baseline: float
    value: float
    drop: float
    bound: float
    only_baseline: int
    only_candidate: int

    def within(self, points: float) -> bool:
        """Whether a drop of at most `points` (hundredths) is shown."""
        return 100 * self.bound <= points


def noninferiority(
    baseline: Evidence, candidate: Evidence, *, alpha: float = 0.05, seed: int = 0
) -> Drop:
    """Bound what `candidate` loses against `baseline` on the same rows.

    Raises:
        ValueError: the two hold different numbers of rows, or none.
    """
    if baseline.rows != candidate.rows or not baseline.rows:
        raise ValueError(f"{baseline.rows} and {candidate.rows} rows cannot be compared")
    right, ours = baseline.correct(), candidate.correct()
    lost, won = int((right & ~ours).sum()), int((ours & ~right).sum())
    if isinstance(baseline, ClassEvidence):
        method = "Tango's score interval for paired shares"
        before, after = float(right.mean()), float(ours.mean())
        bound = paired_share_bound(lost, won, baseline.rows, alpha)
    else:
        method = "paired bootstrap"
        before, after, bound = _bootstrap_bound(baseline, candidate, alpha, seed)
    return Drop(
        method, alpha, baseline.rows, before, after, before - after, bound, lost, won
    )  # fmt: skip


def paired_share_bound(lost: int, won: int, rows: int, alpha: float = 0.05) -> float:
    """Upper bound of P(only the first is right) - P(only the second is right).

    Args:
        lost: rows that only the first answered right.
        won: rows that only the second answered right.
        rows: all rows.
        alpha: one-sided.
    """
    z = NormalDist().inv_cdf(1 - alpha)
    low, high = (lost - won) / rows, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _score(lost, won, rows, middle) > -z else (low, middle)
    return high


def _score(lost: int, won: int, rows: int, drop: float) -> float:
    """Tango's statistic under a true difference of `drop`."""
    b = -(lost + won) + (2 * rows - lost + won) * drop
    root = math.sqrt(max(0.0, b * b + 8 * rows * won * drop * (1 - drop)))
    only_second = (root - b) / (4 * rows)
    variance = rows * (2 * only_second + drop * (1 - drop))
    gap = lost - won - rows * drop
    return gap / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, gap)


def rows_needed(points: float, disagreement: float, alpha: float = 0.05) -> int:
    """Rows with which an equal candidate is shown to lose at most `points`, more often than not.

    Args:
        points: allowed drop in hundredths.
        disagreement: share of rows that one of the two alone answers right.
    """
    z = NormalDist().inv_cdf(1 - alpha)
    return math.ceil(max(disagreement, 1e-3) * (z / (points / 100)) ** 2) if points > 0 else 0


def _bootstrap_bound(
    baseline: Evidence, candidate: Evidence, alpha: float, seed: int
) -> tuple[float, float, float]:
    """Baseline, candidate, and the bound of the drop."""
    first, second = outcomes(baseline), outcomes(candidate)
    before = baseline.scores()[baseline.main]
    after = candidate.scores()[candidate.main]
    if first is None or second is None:

        def drop(index: np.ndarray) -> float:
            gap = baseline.select(index).scores()[baseline.main]
            return gap - candidate.select(index).scores()[candidate.main]

        found = intervals.bootstrap(
            drop, baseline.rows, resamples=_SLOW_RESAMPLES, confidence=1 - 2 * alpha, seed=seed
        )
        return before, after, found.high
    paired = np.concatenate([first, second], axis=1)
    imagined = np.array([[1, 0, 0, 0, 0, 1]], dtype=paired.dtype)

    def drops(sums_RK: np.ndarray) -> np.ndarray:
        width = sums_RK.shape[1] // 2
        whole = scores.micro_f1_of_counts(sums_RK[:, :width])
        return whole - scores.micro_f1_of_counts(sums_RK[:, width:])

    _, values = resampled_statistic(np.concatenate([paired, imagined]), drops, _RESAMPLES, seed)
    return before, after, float(np.quantile(values[np.isfinite(values)], 1 - alpha))
