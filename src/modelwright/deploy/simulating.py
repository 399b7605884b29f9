"""What a policy would have done: replicas, waiting, failures and cost over a trace, second by second.

All replicas together are one queue that is served at the measured capacity of a replica times their
number. A request's time is that of the latency curve at the load of a replica, and what waits before
it. A replica that was asked for answers once its measured start is over. The rule is that of `policy`:
how many are wanted follows from the requests in flight, as Kubernetes' and Ray's autoscalers do it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from modelwright.artifacts.capacity import Capacity
from modelwright.deploy.policy import Policy
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
class Simulated:
    """A policy on a trace.

    Attributes:
        policy: that was played.
        seconds: [N] moments.
        rate: [N] requests a second that came.
        replicas: [N] that answered.
        p99_ms: [N] of the requests that came then.
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
    p99_ms: np.ndarray
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


class Curve:
    """Milliseconds of a percentile by the rate of one replica: straight between the measured loads that
    kept the promise, flat beyond them."""

    def __init__(self, capacity: Capacity, percentile: int) -> None:
        held = [load for load in capacity.loads if load.rate <= capacity.per_second * 1.0001]
        loads = held or list(capacity.loads[:1])
        self._rates = [load.rate for load in loads]
        self._values = [load.p50_ms if percentile == 50 else load.p99_ms for load in loads]

    def at(self, rate: float) -> float:
        """Milliseconds."""
        place = bisect_right(self._rates, rate)
        if place in (0, len(self._rates)):
            return self._values[0 if place == 0 else -1]
        low, high = self._rates[place - 1], self._rates[place]
        first, second = self._values[place - 1], self._values[place]
        return first + (second - first) * (rate - low) / (high - low)


def in_flight(capacity: Capacity) -> float:
    """Requests that one replica has in flight at its capacity (Little's law)."""
    return max(1.0, capacity.per_second * Curve(capacity, 50).at(capacity.per_second) / 1000)


def simulate(capacity: Capacity, trace: Trace, policy: Policy, price: float = 0.0) -> Simulated:
    """Play a policy on a trace.

    Args:
        capacity: of one replica.
        trace: requests a second.
        policy: how many replicas when.
        price: of a replica for an hour.
    """
    scaler = _Scaler(policy, capacity.ready_seconds)
    usual, slowest = Curve(capacity, 50), Curve(capacity, 99)
    step = min(1.0 if trace.seconds <= 2 * HOUR_S else trace.step, trace.step)
    steps = round(trace.seconds / step)
    places = (np.arange(steps) * step // trace.step).astype(int)
    rates = trace.rates[np.minimum(places, len(trace.rates) - 1)]
    each_second = rates.tolist()
    replicas, p99 = np.zeros(steps), np.zeros(steps)
    queue = answered = failed = late = hours = 0.0
    limit = PATIENCE * capacity.slo_p99_ms / 1000
    for at in range(steps):
        now, came = at * step, each_second[at] * step
        serving = scaler.ready(now)
        able = serving * capacity.per_second
        before = queue
        queue += came
        done = min(queue, able * step)
        queue -= done
        lost = max(0.0, queue - able * limit)
        queue -= lost
        answered, failed = answered + done, failed + lost
        each = done / step / serving if serving else 0.0
        wait = (before + queue) / 2 / able if able else (limit if queue or came else 0.0)
        p99[at] = slowest.at(each) + 1000 * wait
        late += done if p99[at] > capacity.slo_p99_ms else 0.0
        replicas[at] = serving
        hours += scaler.paid * step / HOUR_S
        running = each * usual.at(each) / 1000 * serving
        scaler.wanted(now, queue + running)
    total = float(rates.sum() * step)
    share = (answered - late) / total if total else 1.0
    return Simulated(
        policy, np.arange(steps) * step, rates, replicas, p99, total, answered, failed, queue,
        share, hours, hours * price,
    )  # fmt: skip


class _Scaler:
    """Replicas that run and that start, and since when more or fewer are wanted."""

    def __init__(self, policy: Policy, ready_seconds: float) -> None:
        self._policy, self._start = policy, ready_seconds
        self._running = policy.minimum
        self._starting: deque[float] = deque()
        self._above = self._below = math.inf

    @property
    def paid(self) -> int:
        """Running or starting."""
        return self._running + len(self._starting)

    def ready(self, now: float) -> int:
        """Replicas that answer now."""
        while self._starting and self._starting[0] <= now:
            self._starting.popleft()
            self._running += 1
        return self._running

    def wanted(self, now: float, flying: float) -> None:
        """Ask for more or fewer, as the requests in flight say."""
        policy = self._policy
        want = min(policy.maximum, max(policy.minimum, math.ceil(flying / policy.target)))
        self._above = min(self._above, now) if want > self.paid else math.inf
        self._below = min(self._below, now) if want < self.paid else math.inf
        if now - self._above >= policy.up_seconds:
            most = max(self.paid + 1, math.floor(self.paid * policy.up_factor))
            for _ in range(min(want, most) - self.paid):
                self._starting.append(now + self._start)
            self._above = math.inf
        elif now - self._below >= policy.down_seconds:
            drop = self.paid - want
            while drop and self._starting:
                self._starting.pop()
                drop -= 1
            self._running -= drop
            self._below = math.inf


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


def best(capacity: Capacity, trace: Trace, price: float = 0.0) -> tuple[Simulated, list[Simulated]]:
    """The cheapest policy that answers nearly all in time and fails nobody, and all that were tried.

    Where none does, the one that answers most in time.
    """
    tried = [simulate(capacity, trace, one, price) for one in policies(capacity, trace)]
    good = [one for one in tried if one.in_time >= KEPT and one.failed == 0]
    if good:
        return min(good, key=lambda one: (one.replica_hours, -one.in_time)), tried
    return max(tried, key=lambda one: (one.in_time, -one.replica_hours)), tried


def best_policy(capacity: Capacity, trace: Trace | None = None) -> Policy:
    """The policy that `mw deploy` writes where none is given.

    Args:
        capacity: of one replica.
        trace: None for a day's wave with a spike that needs `PEAK_REPLICAS` replicas.
    """
    found, _ = best(capacity, trace or standard(PEAK_REPLICAS * capacity.per_second))
    policy = found.policy
    return policy if trace is not None else replace(policy, maximum=max(policy.maximum, 10))
