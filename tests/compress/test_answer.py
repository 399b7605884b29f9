"""An unmet request is answered: what binds, what is nearest, what relaxing a limit would buy."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from modelwright.compress.answer import gate_error, infeasible


def point(identity: str, ms: float, size: float, bound: float, *, passed: bool) -> dict[str, Any]:
    return {
        "id": identity, "label": f"model {identity}", "bytes": int(size * 1e6), "memory_mb": None,
        "latency": {"p50_ms": ms, "p95_ms": ms, "per_second": 1000 / ms},
        "tuning": {"value": 0.9, "drop_points": bound / 2},
        "certified": {"bound_points": bound, "passed": passed},
    }  # fmt: skip


def asked(drop: float = 1.0, **limits: float) -> dict[str, Any]:
    return {"max_drop": drop, "limits": limits}


def test_the_limit_that_binds_is_named_with_what_was_reached() -> None:
    points = [point("a", 0.8, 20, 0.5, passed=True), point("b", 0.4, 8, 0.9, passed=True)]
    found = infeasible(points, asked(p95_ms=0.2, size_mb=12))
    assert (found["binding"], found["nearest"], found["reached"]) == ("p95_ms", "b", 0.4)
    assert {"limit": "p95_ms", "to": 0.402, "buys": "model b"} in found["relax"]
    error = gate_error({"infeasible": found})
    assert error.exit_code == 3
    [problem] = error.problems
    assert problem.code == "MW-503"
    assert "compress.limits.p95_ms=0.402" in problem.fix
    assert "0.4 ms of p95_ms, 0.2 ms asked" in problem.seen


def test_a_drop_that_could_not_be_shown_binds() -> None:
    points = [point("a", 0.8, 20, 1.6, passed=False)]
    found = infeasible(points, asked())
    assert found["binding"] == "max_drop"
    assert found["relax"] == [{"limit": "max_drop", "to": 1.61, "buys": "model a"}]


POINT = st.builds(
    point,
    st.uuids().map(str),
    st.floats(0.05, 10),
    st.floats(1, 100),
    st.floats(0, 5),
    passed=st.booleans(),
)


@given(st.lists(POINT, min_size=1, max_size=8), st.floats(0.01, 5), st.floats(0.5, 60))
def test_the_answer_is_never_empty_and_each_relaxation_lets_a_point_in(
    points: list[dict[str, Any]], ms: float, size: float
) -> None:
    limits = {"p95_ms": ms, "size_mb": size}
    found = infeasible(points, {"max_drop": 1.0, "limits": limits})
    assert found["nearest"] in {each["id"] for each in points}
    assert found["sentence"]
    for relaxed in found["relax"]:
        allowed = {**limits, "max_drop": 1.0, relaxed["limit"]: relaxed["to"]}
        assert any(
            each["latency"]["p95_ms"] <= allowed["p95_ms"]
            and each["bytes"] / 1e6 <= allowed["size_mb"]
            and each["certified"]["bound_points"] <= allowed["max_drop"]
            for each in points
        )
