"""Against scipy, far into the tails."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from modelwright.monitor import tails


@pytest.mark.parametrize(("drawn", "total"), [(1, 2), (100, 132), (1_000, 4_080), (9_000, 60_000)])
def test_hypergeometric_tails_are_scipys(drawn: int, total: int) -> None:
    draw = np.random.default_rng(drawn)
    marked = draw.integers(0, total + 1, 40)
    spread = stats.hypergeom(total, marked, drawn)
    least, most = np.maximum(0, drawn - (total - marked)), np.minimum(marked, drawn)
    for seen in (least, most, spread.rvs(random_state=draw), draw.integers(least, most + 1)):
        below, above = tails.hypergeometric(seen, drawn, marked, total)
        assert below == pytest.approx(spread.cdf(seen), rel=1e-6, abs=1e-290)
        assert above == pytest.approx(spread.sf(seen - 1), rel=1e-6, abs=1e-290)


@pytest.mark.parametrize("rows", [1, 100, 1_000, 20_000])
@pytest.mark.parametrize("share", [0.0, 0.003, 0.5, 0.93, 1.0])
def test_binomial_tails_are_scipys(rows: int, share: float) -> None:
    for seen in {0, rows // 2, int(share * rows * 0.9), int(share * rows), rows}:
        expected = stats.binom.cdf(seen, rows, share)
        assert tails.binomial_below(seen, rows, share) == pytest.approx(expected, 1e-6, 1e-290)


@pytest.mark.parametrize("freedom", [1, 2, 7, 76, 999])
def test_chi_squared_tails_are_scipys(freedom: int) -> None:
    for value in (0.0, 1e-6, 0.5, freedom * 0.8, freedom, freedom + 2.5, 1.5 * freedom, 900.0):
        expected = stats.chi2.sf(value, freedom)
        assert tails.chi_squared_above(value, freedom) == pytest.approx(expected, 1e-9, 1e-290)


@pytest.mark.parametrize("freedom", [1, 2, 30, 999, 20_000])
def test_students_tails_are_scipys(freedom: int) -> None:
    for value in (-50.0, -1.5, -1e-9, 0.0, 1e-4, 0.9, 2.0, 6.0, 30.0):
        expected = stats.t.sf(value, freedom)
        assert tails.student_above(value, freedom) == pytest.approx(expected, 1e-7, 1e-290)
