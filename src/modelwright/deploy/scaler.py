"""An autoscaler in a simulation: what it is told, what it wants, which replicas answer.

It does as Ray Serve's does (`ray.serve.autoscaling_policy`, `_private.autoscaling_state` of 2.60): the
requests in flight are written down at moments, `LOOKS` in a look-back; what lies within the look-back
is told every few seconds, and its mean over time is what counts, the last value held until now. Where
a replica began to answer, the mean begins anew. With no look-back and no interval the number of the
moment counts, as for Kubernetes'.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from modelwright.deploy.policy import Policy

LOOKS = 5
"""Moments within a look-back at which requests in flight are counted, at least."""


class Scaler:
    """Replicas that run and that start, and since when more or fewer are wanted.

    Args:
        policy: that is followed.
        ready_seconds: that a replica takes from being asked for to its first answer.
        step: seconds of the simulation's steps.
    """

    def __init__(self, policy: Policy, ready_seconds: float, step: float) -> None:
        self._policy, self._ready_seconds = policy, ready_seconds
        self._running = policy.minimum
        self._starting: deque[float] = deque()
        self._above = self._below = math.inf
        self._reports = Reports(policy, step) if Reports.wanted(policy) else None

    @property
    def paid(self) -> int:
        """Running or starting."""
        return self._running + len(self._starting)

    @property
    def starting(self) -> int:
        """That were asked for and do not answer yet."""
        return len(self._starting)

    def ready(self, passed: float) -> int:
        """Replicas that answer, once those that start had so many more seconds of a core."""
        for place in range(len(self._starting)):
            self._starting[place] -= passed
        before = self._running
        while self._starting and self._starting[0] <= 1e-9:
            self._starting.popleft()
            self._running += 1
        if self._reports is not None and self._running > before:
            self._reports.begin()
        return self._running

    def wanted(self, now: float, running: float, queued: float) -> None:
        """Ask for more or fewer, as the requests in flight say.

        Args:
            now: seconds.
            running: requests that replicas work on, on average.
            queued: requests that wait for that.
        """
        policy, flying = self._policy, running + queued
        if self._reports is not None:
            flying = self._reports.seen(now, running, queued, self._running)
        want = min(policy.maximum, max(policy.minimum, self._desired(flying / policy.target)))
        self._above = min(self._above, now) if want > self.paid else math.inf
        self._below = min(self._below, now) if want < self.paid else math.inf
        if now - self._above >= policy.up_seconds - 1e-9:
            most = max(self.paid + 1, math.floor(self.paid * policy.up_factor))
            for _ in range(min(want, most) - self.paid):
                self._starting.append(self._ready_seconds)
            self._above = math.inf
        elif now - self._below >= policy.down_seconds - 1e-9:
            drop = self.paid - want
            while drop and self._starting:
                self._starting.pop()
                drop -= 1
            self._running -= drop
            self._below = math.inf

    def _desired(self, enough: float) -> int:
        """Replicas to have next, where so many would be enough."""
        up = enough > self._running
        gain = self._policy.up_gain if up else self._policy.down_gain
        if gain == 1.0 or self._running == 0:
            return math.ceil(enough)
        found = math.ceil(self._running + gain * (enough - self._running))
        stuck = found == self._running and math.ceil(enough) < self._running
        return found - 1 if stuck else found


class Reports:
    """Requests in flight as an autoscaler hears of them.

    A count of the moment is a draw: of a server that shares itself among its requests, the number in
    flight is geometric whatever their sizes are (Sakata, Noguchi and Oizumi 1971), and that of n of them
    together negative binomial. The draws are the same in every simulation.
    """

    def __init__(self, policy: Policy, step: float) -> None:
        self._back, self._every = policy.look_back_seconds, policy.metrics_seconds
        intervals = [one for one in (self._back / LOOKS, self._every) if one > 0]
        self._pause = max(step, min(intervals))
        self._draws = max(1, round(step / min(intervals)))
        self._points: list[tuple[float, float]] = []
        self._told: list[tuple[float, float]] = []
        self._look_at = self._tell_at = 0.0
        self._random = np.random.default_rng(0)

    @staticmethod
    def wanted(policy: Policy) -> bool:
        """Whether a policy's autoscaler depends on reports."""
        return policy.look_back_seconds > 0 or policy.metrics_seconds > 0

    def begin(self) -> None:
        """Forget what was, for a replica more has begun to answer."""
        self._points.clear()

    def seen(self, now: float, running: float, queued: float, replicas: int) -> float:
        """The mean that counts now."""
        if now >= self._look_at - 1e-9:
            self._look_at += self._pause
            self._points.append((now, queued + self._count(running, replicas)))
        if now >= self._tell_at - 1e-9:
            self._tell_at += self._every or self._pause
            since = now - self._back
            kept = [point for point in self._points if point[0] > since]
            self._points = kept or [(now, queued + self._count(running, replicas))]
            self._told = list(self._points)
        return mean_held(self._told, now)

    def _count(self, running: float, replicas: int) -> float:
        if running <= 0 or replicas == 0:
            return 0.0
        shape = replicas * self._draws
        share = replicas / (replicas + running)
        return float(self._random.negative_binomial(shape, share)) / self._draws


def mean_held(points: list[tuple[float, float]], now: float) -> float:
    """Over time, each value until the next one, the last until now."""
    if not points:
        return 0.0
    begin = points[0][0]
    if now <= begin:
        return points[-1][1]
    ends = [moment for moment, _ in points[1:]] + [now]
    total = sum(value * (end - at) for (at, value), end in zip(points, ends, strict=True))
    return total / (now - begin)
