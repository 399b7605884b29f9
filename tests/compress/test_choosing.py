"""Which points are proven, in which order, and what is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.compress import settling
from modelwright.compress.certifying import Certified, certify
from modelwright.compress.choosing import chance, mark_pareto, meets, objective, sequence
from modelwright.compress.points import Point, Workshop
from modelwright.compress.settling import Settled, settle
from modelwright.errors import GateError
from modelwright.metrics.noninferiority import paired_share_bound
from modelwright.recipe.schema import Compress


def point(ms: float, drop: float = 0.0, apart: float = 0.01, size: int = 10**7) -> Point:
    return Point(
        id=f"p{ms}-{drop}",
        parent=None,
        label="a model",
        path=[],
        form="openvino-int8",
        engine="openvino",
        precision="int8",
        bytes=size,
        memory_mb=None,
        latency={"p50_ms": ms, "p95_ms": 1.2 * ms, "per_second": 1000 / ms},
        tuning={"value": 0.9 - drop / 100, "drop_points": drop, "apart": apart, "rows": 600},
        seconds=1.0,
    )


def compress(**values: Any) -> Compress:
    return Compress.model_validate(values)


def test_what_is_minimised_is_what_was_asked_for() -> None:
    slow_small, fast_large = point(2.0, size=10**6), point(1.0, size=10**8)
    pair = [slow_small, fast_large]
    assert min(pair, key=lambda p: objective(p, compress())) is fast_large
    assert min(pair, key=lambda p: objective(p, compress(minimize="size"))) is slow_small


def test_limits_are_met_or_not() -> None:
    asked = compress(limits={"p95_ms": 1.5, "size_mb": 12.0})
    assert meets(point(1.0), asked)
    assert not meets(point(2.0), asked)
    assert not meets(point(1.0, size=2 * 10**7), asked)


def test_the_safest_is_proven_first_and_a_better_one_after_it() -> None:
    exact, quantized, cut = point(3.0, 0.0, 0.0), point(0.8, 0.1, 0.02), point(0.3, 0.3, 0.03)
    hopeless = point(0.1, 9.0, 0.1)
    order = sequence([cut, hopeless, exact, quantized], compress(), 1400)
    assert hopeless not in order
    assert [objective(p, compress()) for p in order] == sorted(
        (objective(p, compress()) for p in order), reverse=True
    )
    likely = [chance(p.tuning, 1400, 1.0) for p in order]
    assert likely == sorted(likely, reverse=True)


def test_only_points_inside_the_limits_are_proven_where_there_are_any() -> None:
    asked = compress(limits={"p95_ms": 1.0})
    assert sequence([point(3.0, 0.0, 0.0), point(0.5)], asked, 1400) == [point(0.5)]
    assert sequence([point(3.0)], asked, 1400) == [point(3.0)], "else the nearest is tested"


@given(st.floats(-1, 5), st.floats(0.001, 0.1))
def test_a_larger_drop_is_less_likely_proven(drop: float, apart: float) -> None:
    assert chance(point(1, drop + 0.5, apart).tuning, 1400, 1.0) <= chance(
        point(1, drop, apart).tuning, 1400, 1.0
    )


def test_the_chance_is_about_the_share_of_tests_that_hold() -> None:
    rng, rows, held, told = np.random.default_rng(0), 1400, 0, []
    for _ in range(800):
        drop = rng.normal(0.2, 0.8)  # as the prior has it
        lost = 0.012 + drop / 200
        won = max(0.0, 0.012 - drop / 200)
        tuned = rng.multinomial(600, [max(lost, 0), won, 1 - max(lost, 0) - won])
        seen = point(1, 100 * (tuned[0] - tuned[1]) / 600, (tuned[0] + tuned[1]) / 600)
        told.append(chance(seen.tuning, rows, 1.0))
        proof = rng.multinomial(rows, [max(lost, 0), won, 1 - max(lost, 0) - won])
        held += 100 * paired_share_bound(int(proof[0]), int(proof[1]), rows) <= 1.0
    assert abs(np.mean(told) - held / 800) < 0.08


def test_a_point_that_another_beats_in_everything_is_not_on_the_front() -> None:
    best, worse, other = point(1.0, 0.0), point(2.0, 1.0, size=2 * 10**7), point(0.5, 2.0)
    mark_pareto([best, worse, other])
    assert (best.pareto, worse.pareto, other.pareto) == (True, False, True)


# -- what the proof measures ----------------------------------------------------------------------
Settling = Callable[..., Settled]


@pytest.fixture
def settled(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Settling:
    """`settle` where a race tells `races` by point, and no stage holds of those in `broken`."""

    def run(races: dict[str, float], broken: tuple[str, ...] = (), **request: Any) -> Settled:
        asked = compress(**request)
        workshop.session.request = replace(workshop.session.request, compress=asked)
        passed = [point(float(name)) for name in races]
        for each, name in zip(passed, races, strict=True):
            each.id, each.meets = name, meets(each, asked)
            each.certified = {"passed": True, "bound_points": 0.5}

        def measured(_: Workshop, one: Point, __: Certified) -> Settled:
            one.latency = {"p50_ms": races[one.id], "p95_ms": races[one.id]}
            one.meets = meets(one, asked)
            told = {"what": "export equals torch", "rows": 40, "max_abs_diff": 0.5}
            stage = {**told, "tolerance": 1e-3, "holds": one.id not in broken}
            return Settled(one, None, {}, {"stages": [stage]})  # type: ignore[arg-type]

        monkeypatch.setattr(settling, "_settled", measured)
        return settle(workshop, passed, Certified(passed, [], None, 1))  # type: ignore[arg-type]

    return run


def test_a_point_that_is_too_slow_in_the_race_is_not_taken(settled: Settling) -> None:
    found = settled({"1.0": 2.0, "1.1": 1.2}, limits={"p95_ms": 1.5})
    assert (found.point.id, found.answer) == ("1.1", None)
    found = settled({"1.0": 2.0, "1.1": 1.6}, limits={"p95_ms": 1.5})
    assert found.point.id == found.answer["nearest"] == "1.1"
    assert found.answer["reached"] == 1.6
    found = settled({"1.4": 1.3}, limits={"p95_ms": 1.5})
    assert found.answer is None, "the race may also be kinder than what was seen before"


def test_a_point_whose_network_is_not_what_was_meant_is_refused(settled: Settling) -> None:
    found = settled({"1.0": 1.0, "1.1": 1.1}, broken=("1.0",))
    assert found.point.id == "1.1"
    with pytest.raises(GateError, match="export equals torch does not hold on 40 rows"):
        settled({"1.0": 1.0}, broken=("1.0",))


def test_every_opening_of_the_certification_rows_is_counted(workshop: Workshop) -> None:
    assert [certify(workshop, []).openings for _ in range(2)] == [1, 2]
