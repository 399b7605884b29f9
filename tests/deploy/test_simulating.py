"""Simulated scaling: what comes is answered, lost or still waits, and policies do what they say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from modelwright.artifacts.capacity import Capacity, Load
from modelwright.artifacts.traffic import TrafficWriter
from modelwright.cli import main
from modelwright.deploy import traces
from modelwright.deploy.latency import Curve
from modelwright.deploy.policy import Policy
from modelwright.deploy.simulating import best, best_policy, fixed, simulate
from modelwright.errors import UserError

LOADS = (
    Load(25.0, 1.0, 10.0, 20.0, 0.1, 0.3),
    Load(50.0, 1.0, 12.0, 35.0, 0.4, 0.7),
    Load(100.0, 1.0, 20.0, 80.0, 1.5, 1.6),
    Load(200.0, 0.8, 300.0, 900.0, 90.0, 2.0),
)
ONE = Capacity("intents", "abc", "onnx-int8", "a processor", 2, 100.0, 100.0, LOADS, 200.0, 20.0)


@pytest.mark.parametrize("name", traces.GENERATED)
def test_every_request_is_answered_lost_or_waits(name: str) -> None:
    trace = traces.GENERATED[name](300.0)
    for policy in (Policy(maximum=2, target=2.0), Policy(maximum=10, target=2.0)):
        found = simulate(ONE, trace, policy)
        assert found.answered + found.failed + found.waiting == pytest.approx(found.requests)
        assert 0.0 <= found.in_time <= 1.0
        assert found.replicas.min() >= policy.minimum
        assert found.replicas.max() <= policy.maximum


def test_a_policy_of_one_size_never_scales() -> None:
    found = simulate(ONE, traces.spike(600.0), Policy(minimum=3, maximum=3))
    assert set(found.replicas) == {3.0}
    assert found.replica_hours == pytest.approx(3.0)


def test_new_replicas_answer_after_their_measured_start_and_go_after_the_pause() -> None:
    policy = Policy(minimum=1, maximum=8, target=2.0, down_seconds=120.0, up_factor=8.0)
    found = simulate(ONE, traces.step(500.0), policy)
    grown = found.seconds[np.argmax(found.replicas > 1)]
    assert 600.0 + ONE.ready_seconds <= grown <= 600.0 + ONE.ready_seconds + 3.0
    shrunk = found.seconds[np.flatnonzero(found.replicas == found.replicas.max())[-1]]
    assert shrunk >= grown + 120.0


def test_more_traffic_never_takes_fewer_replica_hours() -> None:
    policy = Policy(maximum=10, target=2.0)
    hours = [simulate(ONE, traces.wave(peak), policy).replica_hours for peak in (50, 200, 400, 800)]
    assert hours == sorted(hours)


def test_too_few_replicas_are_late_and_lose_requests() -> None:
    found = simulate(ONE, traces.step(500.0), Policy(minimum=1, maximum=1))
    assert found.failed > 0
    assert found.p99_ms.max() > ONE.slo_p99_ms
    assert found.in_time < 0.9


@pytest.mark.parametrize("name", traces.GENERATED)
def test_the_best_policy_keeps_the_promise_and_is_no_dearer_than_a_fixed_number(name: str) -> None:
    trace = traces.GENERATED[name](500.0)
    found, tried = best(ONE, trace, price=0.5)
    assert found.in_time >= 0.99
    assert found.failed == 0
    plain = simulate(ONE, trace, fixed(ONE, trace), 0.5)
    assert found.cost <= plain.cost * 1.01
    assert found in tried


def test_what_deploy_writes_is_the_same_every_time() -> None:
    assert best_policy(ONE) == best_policy(ONE)
    assert best_policy(ONE).maximum >= 10


def test_latency_lies_between_what_was_measured() -> None:
    curve = Curve(ONE, 99)
    assert [curve.at(rate) for rate in (0, 25, 37.5, 100, 500)] == [20, 20, 27.5, 80, 80]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "0 usable lines"),
        ("seconds,rate\n0,1\n", "1 usable lines"),
        ("a,b\n1,2\n", "not two numbers"),
        ("seconds,rate\n0,1\n0,2\n", "do not rise"),
        ("seconds,rate\n0,1\n9,-2\n", "negative"),
        ("seconds,rate\n0,1\nx,2\n", "not two numbers"),
        ("seconds,rate\n0,nan\n1,2\n", "usable lines"),
        ("seconds,rate\n0,1\n1e12,2\n", "too long"),
    ],
)
def test_a_file_that_is_no_trace_is_named(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=rf"MW-640[\s\S]*{why}"):
        traces.find_trace(str(path), 1.0)


def test_a_file_and_recorded_traffic_are_traces(tmp_path: Path) -> None:
    path = tmp_path / "流量.csv"
    path.write_text("seconds,rate\n0,1\n60,4\n120,2\n")
    assert traces.find_trace(str(path), 1.0).rates.tolist() == [1, 4, 2]
    writer = TrafficWriter(tmp_path / "traffic", "requests", 1 << 20)
    times = [*range(0, 60_000, 1_000), *range(60_000, 120_000, 500), 120_000]
    rows = [{"time": 10**12 + at, "request_id": "r", "index": 0} for at in times]
    writer.add(rows + [{**row, "index": 1} for row in rows[:30]])  # some asked two inputs at once
    writer.close()
    found = traces.find_trace(str(tmp_path / "traffic"), 1.0)
    assert found.rates.tolist() == [1.0, 2.0]
    with pytest.raises(UserError, match="did you mean `wave`"):
        traces.find_trace("wav", 1.0)


def test_the_command_compares_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capacity, policy = tmp_path / "capacity.json", tmp_path / "policy.json"
    ONE.save(capacity)
    words = ["simulate", "--capacity", str(capacity), "--trace", "step", "--price", "0.2"]
    words += ["--out", str(policy), "--report", str(tmp_path / "page.html"), "--json"]
    assert main.run(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["policies"]["best"]["cost"] <= told["policies"]["fixed"]["cost"]
    assert Policy.load(policy).maximum >= 1
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "扩缩容模拟" in page
    assert page.count("<svg") == 3
    like = [*words, "--target", "ray", "--cores", "2", "--policy", str(policy)]
    assert main.run(like) == 0
    told = json.loads(capsys.readouterr().out)["policies"]
    assert {one["policy"]["metrics_seconds"] for one in told.values()} == {10.0}
    assert main.run(["simulate"]) == 2
    assert main.run(["simulate", "--capacity", str(policy)]) == 2
    assert "MW-620" in capsys.readouterr().err
