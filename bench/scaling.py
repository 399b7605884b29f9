"""Ray Serve when ten times as many ask at once: failures, how long it is too slow, and how well a
simulation foretells it.

    .venv/bin/python bench/scaling.py --json OUT [--quick] [--bundle DIR] [--rate R]

The application of `mw deploy --target ray` runs on this machine, one core a replica, with an autoscaler
that looks back ten seconds and hears of requests five times a second, where the files written look back
15 or more and hear every ten seconds; it adds one replica at a time. Requests arrive at random
times, R a second and then ten times as many; a latency counts from the arrival. The promise is met
again from the second on after which none breaks it to the end. Callers, Ray's proxy and all replicas
share the machine's cores, so that more replicas are more time slices, not more cores.

Before any of that, one replica behind Ray's proxy is measured as `mw bench --service` measures one, and
what starts of others take and do to it; from these figures alone the step is simulated with the same
policy, on the machine's cores. Then the real runs follow, each with other times of arrival; and all of
it again. The error of the simulation is told beside that of another real run, taken for a foretelling.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from _rayed import cluster, eager, processes, replicas, serve_bundle, states
from _report import arguments, report, row, say
from startup import make_bundle

BEFORE, AFTER = 10, 75
QUICK = (3, 8)
ROUNDS, RUNS = 2, 3
PATIENCE = 20.0
WARM_S, WARM_RATE = 6.0, 1.0
"""First answers are slow: few enough that nobody wants another replica for them."""
SLICE_S, STARTS_S = 0.5, 60.0
MOST = 4
MEASURED_S = 120.0
"""Of the load that one replica is measured by."""
WINDOW_S = 5
AT_LEAST, AIM = 0.30, 0.15


@dataclass(frozen=True)
class Step:
    """What is asked.

    Attributes:
        rate: requests a second before; ten times as many after.
        before: seconds.
        after: seconds.
        slo: promised 99th percentile, milliseconds.
    """

    rate: float
    before: int
    after: int
    slo: float

    @property
    def rates(self) -> list[float]:
        """Of each second."""
        return [self.rate] * self.before + [10 * self.rate] * self.after

    def __str__(self) -> str:
        return f"a step from {self.rate:g} to {10 * self.rate:g} requests/s"


def main() -> None:
    """Parse, measure, foretell, serve, ask, report."""
    parser = arguments(__doc__, "a few seconds, a bundle of a few steps", data=False)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--rate", type=float, default=3.0, help="requests a second before the step")
    parser.add_argument("--slo", type=float, default=200.0, help="promised p99, milliseconds")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="measured, foretold and run anew"
    )
    parser.add_argument("--runs", type=int, default=RUNS, help="real runs of a round")
    options = parser.parse_args()
    seconds = QUICK if options.quick else (BEFORE, AFTER)
    step = Step(options.rate, *seconds, options.slo)
    many, runs = (1, 1) if options.quick else (options.rounds, options.runs)
    with tempfile.TemporaryDirectory(prefix="modelwright-scaling-") as name:
        bundle = (options.bundle or make_bundle(Path(name), quick=options.quick)).resolve()
        rounds = [
            a_round(bundle, step, MEASURED_S / (10 if options.quick else 1), seeds)
            for seeds in np.arange(many * runs).reshape(many, runs).tolist()
        ]
    report(
        "scaling.py", [*rows_of(rounds, step), *compared(rounds, step)], options.json,
        ("modelwright", "ray", "onnxruntime", "starlette"),
        quick=options.quick, rate=step.rate, slo_ms=step.slo, bundle=bundle.name,
        policy=asdict(policy()), rounds=[one.as_dict(step) for one in rounds],
    )  # fmt: skip


def policy() -> Any:
    """What Ray is told and what is simulated."""
    from modelwright.deploy.policy import UNBOUNDED, Policy

    return Policy(
        minimum=1, maximum=MOST, target=0.2, up_seconds=1.0, down_seconds=60.0,
        up_factor=UNBOUNDED, look_back_seconds=10.0, metrics_seconds=0.2, up_gain=0.2,
    )  # fmt: skip


# -- foretold -------------------------------------------------------------------------------------


def measured(bundle: Path, step: Step, seconds: float) -> tuple[Any, Any]:
    """What one replica behind Ray's proxy can do, how long others take to start, and what that does
    to it meanwhile, at the rate at which they will: it depends on what the cores do besides."""
    from modelwright.artifacts.bundle import read_bundle
    from modelwright.deploy.measuring import Service, golden_rows, measure_running, request
    from modelwright.deploy.simulating import Shared

    with cluster() as port:
        serve_bundle(bundle, num_replicas=1)
        service = Service(f"http://127.0.0.1:{port}", port, processes(), 0.0)
        variant = str(read_bundle(bundle)["default"])
        found = measure_running(service, bundle, step.slo, seconds, variant, 1)
        requests = [request(one, port) for one in golden_rows(bundle)]
        serve_bundle(bundle, autoscaling_config=eager(MOST))
        slices = asyncio.run(_beside_starts(port, requests, 10 * step.rate))
    during = [one for one in slices if one.starting]
    took = SLICE_S * len(during) / (MOST - 1)
    found = replace(found, ready_seconds=round(took, 2))
    warm = [one for one in during if one.replicas > 1]  # first answers are slow by themselves
    grows = [_grows(found, warm, percentile) for percentile in (50, 99)]
    say(f"  {found.per_second:g} requests/s a replica; one starts in {took:.2f} s, while the median of "
        f"the others is {grows[0]:.2f} times as long, the p99 {grows[1]:.2f} times")  # fmt: skip
    return found, Shared(os.cpu_count() or 1, grows[0], grows[1])


@dataclass(frozen=True)
class Slice:
    """A part of a second in which replicas may have started."""

    rate: float
    replicas: int
    starting: bool
    outcome: Any


async def _beside_starts(port: int, requests: Sequence[bytes], rate: float) -> list[Slice]:
    """Ask at a rate until all replicas answer."""
    from modelwright.deploy._load import Callers

    callers, found = Callers(port, requests, seed=99), []
    try:
        began, serving, waiting = time.perf_counter(), 1, []
        while serving < MOST and time.perf_counter() - began < STARTS_S:
            at = time.perf_counter()
            waiting.append(asyncio.create_task(callers.arrive(rate, SLICE_S, PATIENCE)))
            serving, starting = await asyncio.to_thread(states)
            found.append((serving, starting > 0))
            await asyncio.sleep(max(0.0, at + SLICE_S - time.perf_counter()))
        outcomes = await asyncio.gather(*waiting)
    finally:
        callers.close()
    return [Slice(rate, one[0], one[1], done) for one, done in zip(found, outcomes, strict=True)]


def _grows(capacity: Any, during: Sequence[Slice], percentile: int) -> float:
    """By how much a percentile was above what was measured without a start."""
    from modelwright.deploy._load import Outcome
    from modelwright.deploy.latency import Curve

    if not during:
        return 1.0
    usual = mean(Curve(capacity, percentile).at(one.rate / one.replicas) for one in during)
    late = Outcome(latencies=[late for one in during for late in one.outcome.latencies])
    return max(1.0, late.percentile(percentile / 100) / usual)


@dataclass(frozen=True)
class Seen:
    """A run, simulated or real.

    Attributes:
        each: one entry a second.
        p99_ms: of the requests that came between two seconds.
    """

    each: list[dict[str, Any]]
    p99_ms: Callable[[float, float], float]

    @property
    def replicas(self) -> np.ndarray:
        return np.array([one["replicas"] for one in self.each], dtype=float)

    def met_again(self, step: Step) -> float | None:
        """Seconds after the step from which on the promise is kept; None where it never is."""
        kept = [
            one["failed"] == 0 and one["p99_ms"] <= step.slo for one in self.each[step.before :]
        ]
        last = max((second for second, one in enumerate(kept) if not one), default=-1)
        return float(last + 1) if last + 1 < len(kept) else None


@dataclass(frozen=True)
class Round:
    """What was measured, what follows from it, and what came of it."""

    capacity: Any
    shared: Any
    foretold: Seen
    runs: list[Seen]

    def as_dict(self, step: Step) -> dict[str, Any]:
        """For the report."""
        runs = [{"seconds": one.each, "met_again_s": one.met_again(step)} for one in self.runs]
        return {
            "capacity": asdict(self.capacity), "shared": asdict(self.shared),
            "simulated": self.foretold.each, "runs": runs,
        }  # fmt: skip


def a_round(bundle: Path, step: Step, seconds: float, seeds: Sequence[int]) -> Round:
    """Measure, foretell, run; in this order."""
    capacity, shared = measured(bundle, step, seconds)
    foretold = simulated(capacity, shared, step)
    return Round(capacity, shared, foretold, [scaled(bundle, step, seed) for seed in seeds])


def simulated(capacity: Any, shared: Any, step: Step) -> Seen:
    """The step, played with the measured capacity."""
    from modelwright.deploy.simulating import simulate
    from modelwright.deploy.traces import Trace

    found = simulate(
        capacity, Trace("step", np.array(step.rates), 1.0), policy(),
        shared=shared, patience=1000 * PATIENCE / step.slo,
    )  # fmt: skip

    def p99(begin: float, end: float) -> float:
        return found.percentile(0.99, begin, end)

    at = np.searchsorted(found.seconds, np.arange(len(step.rates)))
    each = [
        {"p99_ms": round(p99(second, second + 1), 1), "replicas": int(found.replicas[place])}
        for second, place in enumerate(at)
    ]
    return Seen(each, p99)


# -- real -----------------------------------------------------------------------------------------


def scaled(bundle: Path, step: Step, seed: int) -> Seen:
    """Serve a bundle on Ray and ask it."""
    from modelwright.deploy.measuring import golden_rows, request
    from modelwright.deploy.targets.ray import autoscaling

    with cluster() as port:
        serve_bundle(bundle, autoscaling_config=autoscaling(policy()))
        requests = [request(one, port) for one in golden_rows(bundle)]
        return asyncio.run(_asked(port, requests, step, seed))


async def _asked(port: int, requests: Sequence[bytes], step: Step, seed: int) -> Seen:
    from modelwright.deploy._load import Callers, Outcome

    callers = Callers(port, requests, seed)
    try:
        await callers.arrive(WARM_RATE, WARM_S, PATIENCE)  # wakes what wakes up at first use
        waiting, counts = [], []
        began = time.perf_counter()
        for second, rate in enumerate(step.rates):
            waiting.append(asyncio.create_task(callers.arrive(rate, 1.0, PATIENCE)))
            counts.append(await asyncio.to_thread(replicas))
            await asyncio.sleep(max(0.0, began + second + 1 - time.perf_counter()))
        outcomes = await asyncio.gather(*waiting)
    finally:
        callers.close()

    def p99(begin: float, end: float) -> float:
        chosen = outcomes[round(begin) : min(len(outcomes), round(min(end, 1e6)))]
        lost = sum(one.sent - len(one.latencies) for one in chosen)
        late = [PATIENCE] * lost + [late for one in chosen for late in one.latencies]
        return Outcome(latencies=late).percentile(0.99)

    each = [
        {"sent": one.sent, "failed": one.sent - len(one.latencies),
         "p99_ms": round(one.percentile(0.99), 1), "replicas": count}
        for one, count in zip(outcomes, counts, strict=True)
    ]  # fmt: skip
    return Seen(each, p99)


# -- rows -----------------------------------------------------------------------------------------


def rows_of(rounds: Sequence[Round], step: Step) -> list[dict[str, Any]]:
    """What became of the requests: in all runs, in the worst."""
    runs = [run for one in rounds for run in one.runs]
    sent, failed = (sum(one[key] for run in runs for one in run.each) for key in ("sent", "failed"))
    again = [run.met_again(step) for run in runs]
    most = max(run.replicas.max() for run in runs)
    say(f"  {sent} requests, {failed} failed, at most {most:g} replicas")
    return [
        row(f"requests that failed in {step}, of {sent}", failed, "requests", better="lower", at_least=0, aim=0),
        row(
            f"until the p99 is within {step.slo:g} ms again after {step}, the worst of {len(runs)} runs",
            None if None in again else max(one for one in again if one is not None),
            "s", better="lower", at_least=90, aim=45,
        ),
        row("replicas, at most", float(most), "replicas"),
    ]  # fmt: skip


def compared(rounds: Sequence[Round], step: Step) -> list[dict[str, Any]]:
    """Each round's simulation against its real runs, and these against each other."""
    whole, after = (0.0, float("inf")), (float(step.before), float("inf"))
    for one in rounds:
        real = ", ".join(f"{run.p99_ms(*after):.0f}" for run in one.runs)
        say(f"  p99 after the step: simulated {one.foretold.p99_ms(*after):.0f} ms, real {real}")

    def line(what: str, error: Callable[[Seen, Seen], float], **asked: Any) -> dict[str, Any]:
        ours = [[error(one.foretold, run) for run in one.runs] for one in rounds]
        theirs = [
            error(*pair) for one in rounds for pair in itertools.permutations(one.runs, 2)
        ]  # fmt: skip
        return row(
            f"simulator against real: {what}, mean relative error",
            mean(mean(errors) for errors in ours), "of the real", better="lower",
            peer="another real run", peer_value=mean(theirs) if theirs else None,
            of_each_round=[round(mean(errors), 3) for errors in ours], **asked,
        )  # fmt: skip

    asked = {"at_least": AT_LEAST, "aim": AIM}
    windows = [
        (float(begin), float(begin + WINDOW_S))
        for begin in range(step.before, step.before + step.after, WINDOW_S)
    ]
    return [
        line("replicas over time", _replica_error, **asked),
        line("p99 of the whole run", _p99_error([whole]), **asked),
        line("p99 after the step", _p99_error([after]), **asked),
        line(f"p99 of every {WINDOW_S} s after the step", _p99_error(windows)),
    ]


def _replica_error(told: Seen, real: Seen) -> float:
    return float(np.mean(np.abs(told.replicas - real.replicas) / real.replicas))


def _p99_error(windows: Sequence[tuple[float, float]]) -> Callable[[Seen, Seen], float]:
    """Of the 99th percentile in each of some stretches."""

    def error(told: Seen, real: Seen) -> float:
        seen = [(told.p99_ms(*one), real.p99_ms(*one)) for one in windows]
        return mean(abs(first - second) / second for first, second in seen)

    return error


if __name__ == "__main__":
    main()
