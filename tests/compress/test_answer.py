"""The answer when no model fits: never empty, the nearest is the nearest, every change lets one in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.compress.answer import DROP, excess, gate_error, infeasible, limits_of, quantity


def point(
    identity: str, p95: float, drop: float, *, bound: float | None = None, **more: Any
) -> Any:
    test = None if bound is None else {"bound_points": bound, "passed": bound <= 1.0}
    return {
        "id": identity, "label": f"model {identity}", "bytes": 8_000_000, "memory_mb": 60.0,
        "latency": {"p50_ms": 0.8 * p95, "p95_ms": p95}, "tuning": {"drop_points": drop},
        "certified": test, **more,
    }  # fmt: skip


def request(max_drop: float = 1.0, **limits: float | None) -> dict[str, Any]:
    return {"max_drop": max_drop, "limits": limits}


# -- what is said -----------------------------------------------------------------------------------
SAID = [
    (
        "a latency limit binds, and the drop is shown",
        [point("a", 0.5, 0.1, bound=0.71), point("b", 0.19, 3.0)],
        request(p95_ms=0.2, size_mb=None),
        "no model within p95_ms 0.2 ms, max_drop 1 points was found; the nearest, model a, has "
        "p95_ms 0.5 ms, 2.5 times the 0.2 asked",
        "compress.limits.p95_ms=0.503 for model a; or compress.max_drop=3.02 (its drop is seen, "
        "not shown yet) for model b; or a longer search with compress.budget.minutes",
    ),
    (
        "a limit is far away",
        [point("a", 1.6, 0.1, bound=0.71)],
        request(p95_ms=0.001),
        "no model within p95_ms 0.001 ms, max_drop 1 points was found; the nearest, model a, has "
        "p95_ms 1.6 ms, 1,600 times the 0.001 asked",
        "compress.limits.p95_ms=1.61 for model a; or a longer search with compress.budget.minutes",
    ),
    (
        "the drop binds, and its bound lies above what is allowed",
        [point("a", 0.5, 0.9, bound=1.8)],
        request(p95_ms=1.0),
        "no model within p95_ms 1 ms, max_drop 1 points was found; the nearest, model a, is shown "
        "to lose at most 1.8 points, 1 asked",
        "compress.max_drop=1.81 for model a; or more validation rows, which show smaller drops; or "
        "a longer search with compress.budget.minutes",
    ),
    (
        "a drop inside the limit was seen, but not shown",
        [point("a", 0.5, 0.3)],
        request(p95_ms=1.0),
        "no model within p95_ms 1 ms, max_drop 1 points was found; the nearest, model a, loses 0.3 "
        "points on the tuning rows, but a drop of at most 1 points was not shown on the "
        "certification rows",
        "more validation rows, which show smaller drops; or a longer search with "
        "compress.budget.minutes",
    ),
    (
        "a bound inside the limit was found after the tests had ended",
        [point("a", 0.5, 0.2) | {"certified": {"bound_points": 0.95, "passed": False}}],
        request(p95_ms=1.0),
        "no model within p95_ms 1 ms, max_drop 1 points was found; the nearest, model a, loses at "
        "most 0.95 points by a test that came after the first failure and so proves nothing",
        "more validation rows, which show smaller drops; or a longer search with "
        "compress.budget.minutes",
    ),
    (
        "no limit alone is enough",
        [point("a", 0.5, 1.9, bound=2.2)],
        request(p95_ms=0.45),
        "no model within p95_ms 0.45 ms, max_drop 1 points was found; the nearest, model a, is "
        "shown to lose at most 2.2 points, 1 asked",
        "compress.limits.p95_ms=0.503 and compress.max_drop=2.21 for model a; or more validation "
        "rows, which show smaller drops; or a longer search with compress.budget.minutes",
    ),
    (
        "a quantity could not be measured",
        [point("a", 0.5, 0.1, bound=0.5, memory_mb=None)],
        request(memory_mb=50.0),
        "no model within memory_mb 50 MiB, max_drop 1 points was found; the nearest, model a, "
        "could not be measured for memory_mb, 50 MiB asked",
        "a longer search with compress.budget.minutes",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("points", "asked", "seen", "fix"), [row[1:] for row in SAID],
                         ids=[row[0] for row in SAID])  # fmt: skip
def test_the_text_that_a_user_reads(points: Any, asked: Any, seen: str, fix: str) -> None:
    error = gate_error({"infeasible": infeasible(points, asked)})
    (problem,) = error.problems
    assert (error.exit_code, problem.code) == (3, "MW-503")
    assert problem.seen == seen
    assert problem.fix == fix


def test_a_point_that_could_not_be_measured_is_not_the_nearest() -> None:
    blind = point("blind", 0.5, 0.1, bound=0.5, memory_mb=None)
    known = point("known", 0.5, 0.1, bound=0.5, memory_mb=900.0)
    assert infeasible([blind, known], request(memory_mb=50.0))["nearest"] == "known"


def test_a_point_that_was_proven_is_offered_before_a_nearer_one_that_was_not() -> None:
    points = [point("seen", 0.4, 0.2), point("proven", 0.5, 0.2, bound=0.6)]
    (change,) = infeasible(points, request(p95_ms=0.2))["relax"]
    assert (change["buys"], change["proven"]) == ("model proven", True)


# -- whatever was measured ---------------------------------------------------------------------------
FIGURES = st.floats(0.01, 50.0)


@st.composite
def measured(draw: st.DrawFn) -> tuple[list[Any], dict[str, Any]]:
    """Points of which none lies inside the limits."""
    asked = request(
        draw(st.sampled_from([0.0, 0.5, 1.0])),
        **{name: draw(FIGURES) for name in ("p50_ms", "p95_ms", "size_mb", "memory_mb")
           if draw(st.booleans())},
    )  # fmt: skip
    points: list[Any] = []
    for number in range(draw(st.integers(1, 6))):
        found = point(f"p{number}", draw(FIGURES), draw(st.floats(-2, 40)))
        found["bytes"] = int(1e6 * draw(FIGURES))
        found["memory_mb"] = draw(st.none() | FIGURES)
        if draw(st.booleans()):
            bound = draw(st.floats(-1, 40))
            found["certified"] = {"bound_points": bound, "passed": bound <= asked[DROP]}
        if max(excess(found, limits_of(asked)).values()) > 0:
            points.append(found)
    if not points:
        points.append(point("p9", 0.5, 0.1))
    return points, asked


@given(measured())
def test_the_answer_is_never_empty_and_the_nearest_is_the_nearest(given: Any) -> None:
    points, asked = given
    answer, limits = infeasible(points, asked), limits_of(asked)
    nearest = next(one for one in points if one["id"] == answer["nearest"])
    worst = max(excess(nearest, limits).values())
    assert all(worst <= max(excess(one, limits).values()) for one in points)
    assert excess(nearest, limits)[answer["binding"]] == worst > 0
    assert answer["sentence"]
    assert gate_error({"infeasible": answer}).problems[0].fix


@given(measured())
def test_every_change_lets_its_point_in_and_none_is_without_need(given: Any) -> None:
    points, asked = given
    limits = limits_of(asked)
    for change in infeasible(points, asked)["relax"]:
        wider = {**limits, change["limit"]: change["to"], **change["also"]}
        assert all(wider[name] > limits[name] for name in [change["limit"], *change["also"]])
        inside = [
            one for one in points if one["label"] == change["buys"]
            and all((v := quantity(one, name)) is not None and v <= wider[name] for name in wider)
        ]  # fmt: skip
        assert inside
        assert (inside[0]["certified"] is not None) == change["proven"]
