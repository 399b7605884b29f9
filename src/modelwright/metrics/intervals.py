"""How far can a measured value be trusted, and is one system really better than another?

    a measure of sums of per-row counts (accuracy, F1, ...)   bootstrap_from_counts   milliseconds
      its special cases: a mean; a ratio of two sums          bootstrap_mean, bootstrap_ratio
    any other measure (correlation, calibration, ...)         bootstrap               one call each
    a share, k of n                                           wilson                  closed form
    two systems on the same rows                              paired_bootstrap, mcnemar

Intervals are bootstrap percentiles (Efron 1979; Efron and Tibshirani 1993, chapter 13): rows
are drawn with replacement, and the middle 95% of the measure's values is the interval. It takes
rows to be independent. Below some 20 rows it is too narrow; for a share, prefer `wilson` there.
Resamples in which the measure is not finite are left out. The same seed gives the same interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modelwright.metrics.inputs import Floats, flags, reals, same_rows, same_shape
from modelwright.metrics.resampling import Statistic, resampled_statistic

IndexStatistic: TypeAlias = Callable[[NDArray[np.int64]], float]


@dataclass(frozen=True)
class Interval:
    """The value on all rows, and the bounds between which it plausibly lies."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Second system less first, its bounds, and the two-sided p-value of no difference.

    p is twice the smaller share of resamples on one side of 0, counting 0 itself on both sides
    and adding 1 above and below (Davison and Hinkley 1997, section 4.2), so never exactly 0.
    """

    value: float
    low: float
    high: float
    p_value: float


def bootstrap(
    statistic: IndexStatistic,
    rows: int,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of any measure. `statistic` gets row indices (rows,), some repeated:

    bootstrap(lambda index: spearman(labels[index], predictions[index]), len(labels))
    """
    value, values_R = _index_resamples(statistic, rows, resamples, seed)
    return _interval(value, values_R, confidence)


def bootstrap_from_counts(
    counts_NK: ArrayLike,
    statistic: Statistic,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of a measure computed from sums of K counts per row.

    `statistic` gets sums (R, K) of R resamples and returns their values (R,): say
    `scores.micro_f1_of_counts` with counts from `spans.span_counts`, or
    `scores.macro_f1_of_counts` with those from `classification.row_counts`. It is called more
    than once, so that memory stays bounded.
    """
    counts = _counts("counts", counts_NK)
    _check_resamples(resamples)
    return _interval(*resampled_statistic(counts, statistic, resamples, seed), confidence)


def bootstrap_mean(
    values_N: ArrayLike, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """Interval of the mean of values (N,); for accuracy, of right (1) and wrong (0)."""
    values = reals("values", values_N)
    return bootstrap_ratio(
        values, np.ones_like(values), resamples=resamples, confidence=confidence, seed=seed
    )


def bootstrap_ratio(
    above_N: ArrayLike,
    below_N: ArrayLike,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of sum(above) / sum(below), as in tokens right of tokens seen per document.

    Raises ValueError if `below` sums to 0.
    """
    above, below = reals("above", above_N), reals("below", below_N)
    same_rows(above=above, below=below)
    if below.sum() == 0:
        raise ValueError("below sums to 0: there is nothing to divide by")
    return bootstrap_from_counts(
        np.stack([above, below], axis=1),
        _ratio_of_sums,
        resamples=resamples,
        confidence=confidence,
        seed=seed,
    )


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Interval of a share, successes of n (Wilson 1927); sound for small n and for shares 0, 1."""
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be from 0 to n, {n}, got {successes}")
    _check_confidence(confidence)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At 0 and n the outer bound is the share itself, which rounding may miss.
    low = 0.0 if successes == 0 else float(centre - reach)
    high = 1.0 if successes == n else float(centre + reach)
    return Interval(share, low, high)


def paired_bootstrap(
    difference: IndexStatistic,
    rows: int,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Is a system better than another on the same rows? (Koehn 2004)

    `difference` gets row indices (rows,) and returns the measure of the second system on them
    less that of the first.
    """
    value, values_R = _index_resamples(difference, rows, resamples, seed)
    return _difference(value, values_R, confidence)


def paired_bootstrap_from_counts(
    first_NK: ArrayLike,
    second_NK: ArrayLike,
    statistic: Statistic,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """As `paired_bootstrap`, fast, for measures as in `bootstrap_from_counts`."""
    first, second = _counts("first", first_NK), _counts("second", second_NK)
    same_shape(first=first, second=second)
    _check_resamples(resamples)
    columns = first.shape[1]

    def difference(sums_RK: Floats) -> Floats:
        return statistic(sums_RK[:, columns:]) - statistic(sums_RK[:, :columns])

    both = np.concatenate([first, second], axis=1)
    return _difference(*resampled_statistic(both, difference, resamples, seed), confidence)


def mcnemar(correct_a_N: ArrayLike, correct_b_N: ArrayLike) -> float:
    """Exact two-sided p-value that two systems are right equally often (McNemar 1947).

    Only rows that exactly one of them gets right tell; with none, p is 1.
    """
    from scipy.special import bdtr  # pyright: ignore[reportMissingTypeStubs]

    a, b = flags("correct_a", correct_a_N), flags("correct_b", correct_b_N)
    same_rows(correct_a=a, correct_b=b)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def _index_resamples(
    statistic: IndexStatistic, rows: int, resamples: int, seed: int
) -> tuple[float, Floats]:
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}")
    _check_resamples(resamples)
    rng = np.random.default_rng(seed)
    draws = (rng.integers(0, rows, size=rows) for _ in range(resamples))
    value = float(statistic(np.arange(rows, dtype=np.int64)))
    return value, np.array([statistic(draw) for draw in draws], dtype=np.float64)


def _interval(value: float, values_R: Floats, confidence: float) -> Interval:
    return Interval(value, *_percentiles(_finite(value, values_R), confidence))


def _difference(value: float, values_R: Floats, confidence: float) -> Difference:
    values = _finite(value, values_R)
    one_side = min(int((values <= 0).sum()), int((values >= 0).sum()))
    p_value = min(1.0, 2 * (one_side + 1) / (len(values) + 1))
    return Difference(value, *_percentiles(values, confidence), p_value)


def _finite(value: float, values_R: Floats) -> Floats:
    if not np.isfinite(value):
        raise ValueError(f"the statistic of all rows must be finite, got {value}")
    return values_R[np.isfinite(values_R)]


def _percentiles(values_R: Floats, confidence: float) -> tuple[float, float]:
    _check_confidence(confidence)
    if not len(values_R):
        raise ValueError("the statistic is finite in none of the resamples")
    outside = (1 - confidence) / 2
    low, high = np.quantile(values_R, [outside, 1 - outside])
    return float(low), float(high)


def _ratio_of_sums(sums_R2: Floats) -> Floats:
    above, below = sums_R2[:, 0], sums_R2[:, 1]
    return np.divide(above, below, out=np.full(len(below), np.nan), where=below != 0)


def _counts(name: str, counts_NK: ArrayLike) -> NDArray[np.number]:
    """Checked, but left in its own type: counts may be small integers and many."""
    counts = np.asarray(counts_NK)
    whole = counts.dtype.kind in "iu" and counts.ndim == 2 and counts.size > 0
    return counts if whole else reals(name, counts, axes=2)


def _check_resamples(resamples: int) -> None:
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
