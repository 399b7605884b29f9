"""What a policy would have done: replicas, waiting, failures and cost over a trace, step by step.

All replicas together are one queue that is served at the measured capacity of a replica times their
number. A request's time is that of the latency curve at the load of a replica, and what waits before
it. A replica that was asked for answers once its measured start is over. The rule is that of `policy`:
how many are wanted follows from the requests in flight, as Kubernetes' and Ray's autoscalers do it.

Where all replicas share a machine, serving takes the cores that were measured at the load, a start
takes one; where that is more than there are, everything takes as much longer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from modelwright.artifacts.capacity import Capacity
from modelwright.deploy import latency
from modelwright.deploy.latency import Curve, in_flight
from modelwright.deploy.policy import Policy
from modelwright.deploy.scaler import LOOKS, Reports, Scaler
from modelwright.deploy.traces import Trace, standard

PATIENCE = 10.0
"""Times the promised latency after which a waiting request has failed."""
HOUR_S = 3_600.0
KEPT = 0.99
"""Share of the requests that are answered in time, for a policy to be good."""
PEAK_REPLICAS = 6
"""Replicas' worth of traffic at the top of the standard trace."""
TARGETS = (0.4, 0.6, 0.8)
"""Of the requests that a replica has in flight at its capacity."""
DOWN_S = (60.0, 300.0, 600.0)


@dataclass(frozen=True)
class Shared:
    """A machine that all replicas run on.

    Attributes:
        cores: of it.
        start_p50: by how much the median grows while another replica starts, where that was measured.
        start_p99: the same of the 99th percentile.
    """

    cores: float = math.inf
    start_p50: float = 1.0
    start_p99: float = 1.0


OWN = Shared()
"""Each replica has cores of its own."""


@dataclass(frozen=True)
class Simulated:
    """A policy on a trace.

    Attributes:
        policy: that was played.
        seconds: [N] moments.
        rate: [N] requests a second that came.
        replicas: [N] that answered.
        p50_ms: [N] of the requests that came then.
        p99_ms: [N] of them.
        wait_ms: [N] of them, before a replica had time for them.
        requests: all that came.
        answered: of them.
        failed: of them: waited too long.
        waiting: left at the end.
        in_time: share of all that were answered within the promise.
        replica_hours: replicas that ran or started, times hours.
        cost: of them.
    """

    policy: Policy
    seconds: np.ndarray
    rate: np.ndarray
    replicas: np.ndarray
    p50_ms: np.ndarray
    p99_ms: np.ndarray
    wait_ms: np.ndarray
    requests: float
    answered: float
    failed: float
    waiting: float
    in_time: float
    replica_hours: float
    cost: float

    def as_dict(self) -> dict[str, Any]:
        """The totals; the curves are left out."""
        found = {name: getattr(self, name) for name in
                 ("requests", "answered", "failed", "waiting", "in_time", "replica_hours", "cost")}  # fmt: skip
        worst = float(self.p99_ms.max()) if len(self.p99_ms) else 0.0
        return {"policy": asdict(self.policy), **found, "worst_p99_ms": worst}

    def percentile(self, share: float, begin: float = 0.0, end: float = math.inf) -> float:
        """Milliseconds within which so many of the answers came, of requests of some seconds."""
        place = (self.seconds >= begin) & (self.seconds < end)
        chosen = (one[place] for one in (self.p50_ms, self.p99_ms, self.wait_ms, self.rate))
        return latency.percentile(share, *chosen)


def simulate(
    capacity: Capacity,
    trace: Trace,
    policy: Policy,
    price: float = 0.0,
    shared: Shared = OWN,
    patience: float = PATIENCE,
) -> Simulated:
    """Play a policy on a trace.

    Args:
        capacity: of one replica.
        trace: requests a second.
        policy: how many replicas when.
        price: of a replica for an hour.
        shared: the machine that all replicas run on.
        patience: times the promise after which a waiting request has failed.
    """
    step = step_of(trace, policy)
    steps = round(trace.seconds / step)
    places = (np.arange(steps) * step // trace.step).astype(int)
    rates = trace.rates[np.minimum(places, len(trace.rates) - 1)]
    each_second = rates.tolist()
    scaler, machine = Scaler(policy, capacity.ready_seconds, step), _Machine(capacity, shared)
    replicas, found = np.zeros(steps), np.zeros((3, steps))
    queue = answered = failed = late = hours = 0.0
    start_speed, limit = 1.0, patience * capacity.slo_p99_ms / 1000
    for at in range(steps):
        came = each_second[at] * step
        serving = scaler.ready(step * start_speed)
        speed, start_speed, longer = machine.shares(serving, (queue + came) / step, scaler.starting)
        able = serving * capacity.per_second * speed
        before = queue
        queue += came
        done = min(queue, able * step)
        queue -= done
        lost = max(0.0, queue - able * limit)
        queue -= lost
        answered, failed = answered + done, failed + lost
        each = done / step / serving if serving else 0.0
        wait = (before + queue) / 2 / able if able else (limit if queue or came else 0.0)
        p50, p99 = machine.latencies(each, longer, scaler.starting)
        found[:, at] = p50 + 1000 * wait, p99 + 1000 * wait, 1000 * wait
        late += done if found[1, at] > capacity.slo_p99_ms else 0.0
        replicas[at] = serving
        hours += scaler.paid * step / HOUR_S
        running = each * latency.mean_of(p50, p99) / 1000 * serving
        scaler.wanted(at * step, running, queue)
    total = float(rates.sum() * step)
    share = (answered - late) / total if total else 1.0
    return Simulated(
        policy, np.arange(steps) * step, rates, replicas, found[0], found[1], found[2], total, answered, failed, queue,
        share, hours, hours * price,
    )  # fmt: skip


def step_of(trace: Trace, policy: Policy) -> float:
    """Seconds between two moments: short enough for the policy's look-back, where the trace is short."""
    if trace.seconds > 2 * HOUR_S:
        return trace.step
    finest, step = 1.0, min(1.0, trace.step)
    if Reports.wanted(policy):
        intervals = (policy.look_back_seconds / LOOKS, policy.metrics_seconds)
        finest = min(one for one in intervals if one > 0)
    while step > max(finest / 2, 0.1):
        step /= 2
    return step


class _Machine:
    """What replicas do to each other where they share cores; nothing where each has its own.

    A start takes a core, serving what was measured at its rate. Cores are shared fairly: who needs less
    than an equal part gets it all. While more wants to run than there are cores, whoever runs is held up
    as much as there is more, so that an answer takes longer also where its replica gets all it needs.
    """

    def __init__(self, capacity: Capacity, shared: Shared) -> None:
        best = min(capacity.loads, key=lambda load: abs(load.rate - capacity.per_second))
        self._cores, self._each_second = shared.cores, capacity.per_second
        self._start_p50, self._start_p99 = shared.start_p50, shared.start_p99
        self._cores_per_rate = best.cpu / best.rate
        self._usual, self._slowest = Curve(capacity, 50), Curve(capacity, 99)

    def shares(self, serving: int, rate: float, starting: int) -> tuple[float, float, float]:
        """For some replicas that serve a rate together, and some that start.

        Returns:
            The share of its own speed at which a replica could serve, that at which one starts, and by
            how much answers take longer.
        """
        each = min(rate / serving, self._each_second) * self._cores_per_rate if serving else 0.0
        needed = each * serving + starting
        if needed <= self._cores:
            return 1.0, 1.0, 1.0
        equal = self._cores / (serving + starting)
        if each < equal and starting:
            equal = (self._cores - each * serving) / starting
        most = self._each_second * self._cores_per_rate
        return min(1.0, equal / most), min(1.0, equal), needed / self._cores

    def latencies(self, rate: float, longer: float, starting: int) -> tuple[float, float]:
        """Median and 99th percentile at the rate of a replica, milliseconds."""
        p50 = p99 = longer
        if starting:
            p50, p99 = max(longer, self._start_p50), max(longer, self._start_p99)
        return p50 * self._usual.at(rate * longer), p99 * self._slowest.at(rate * longer)


def policies(capacity: Capacity, trace: Trace) -> list[Policy]:
    """Those that are tried: how full a replica may be, how soon one goes, how many stay."""
    most = max(2, math.ceil(1.5 * trace.peak / max(capacity.per_second, 1e-9)))
    flying = in_flight(capacity)
    scaled = [
        Policy(
            minimum=least,
            maximum=most,
            target=max(1.0, round(share * flying, 1)),
            down_seconds=down,
        )
        for least in sorted(
            {1, 2, max(1, most // 3), max(1, most // 2), fixed(capacity, trace).minimum}
        )
        for share in TARGETS
        for down in DOWN_S
    ]
    return [*scaled, fixed(capacity, trace)]


def fixed(capacity: Capacity, trace: Trace) -> Policy:
    """As many replicas as the peak needs, all the time."""
    count = max(1, math.ceil(trace.peak / max(capacity.per_second, 1e-9)))
    return Policy(minimum=count, maximum=count, target=max(1.0, in_flight(capacity)))


def best(
    capacity: Capacity,
    trace: Trace,
    price: float = 0.0,
    shared: Shared = OWN,
    follow: Callable[[Policy], Policy] = lambda policy: policy,
) -> tuple[Simulated, list[Simulated]]:
    """The cheapest policy that answers nearly all in time and fails nobody, and all that were tried.

    Where none does, the one that answers most in time.

    Args:
        capacity: of one replica.
        trace: requests a second.
        price: of a replica for an hour.
        shared: the machine that all replicas run on.
        follow: how a place to run follows a policy.
    """
    asked = dict.fromkeys(follow(one) for one in policies(capacity, trace))
    tried = [simulate(capacity, trace, one, price, shared) for one in asked]
    good = [one for one in tried if one.in_time >= KEPT and one.failed == 0]
    if good:
        return min(good, key=lambda one: (one.replica_hours, -one.in_time)), tried
    return max(tried, key=lambda one: (one.in_time, -one.replica_hours)), tried


def best_policy(
    capacity: Capacity, follow: Callable[[Policy], Policy] = lambda policy: policy
) -> Policy:
    """The policy that `mw deploy` writes where none is given: the best on a day's wave with a spike that
    needs `PEAK_REPLICAS` replicas.

    Args:
        capacity: of one replica.
        follow: how the place to run follows a policy.
    """
    found, _ = best(capacity, standard(PEAK_REPLICAS * capacity.per_second), follow=follow)
    policy = found.policy
    return replace(policy, maximum=max(policy.maximum, 10))
