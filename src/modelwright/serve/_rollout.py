"""The versions of one model that are in service: stable, canary, shadow, and the one before.

A canary answers a share of the requests. Its errors and its latency are watched beside the
stable's, and a request that it fails is answered by the stable.
"""

from __future__ import annotations

import math
import zlib
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, final

if TYPE_CHECKING:
    from modelwright.serve._model import ServedModel

Role = Literal["stable", "canary", "shadow", "previous"]

WINDOW = 500
"""Requests of each side whose latency is compared."""
LEAST = 100
"""Requests of each side before latency is judged."""
FAILURES = 3
"""Failures before errors are judged."""
SLOWER, SLACK_S = 1.5, 0.005
"""A canary's 95th percentile may be so many times the stable's, and a little more."""


@final
class Trial:
    """What a canary did, beside the stable in the same time."""

    def __init__(self) -> None:
        self._seconds = {side: deque[float](maxlen=WINDOW) for side in (True, False)}
        self._asked = {True: 0, False: 0}
        self._failed = {True: 0, False: 0}

    def note(self, seconds: float, *, canary: bool, failed: bool) -> None:
        """Count a request of one side."""
        self._asked[canary] += 1
        self._failed[canary] += failed
        if not failed:
            self._seconds[canary].append(seconds)

    def verdict(self) -> str:
        """Why the canary is worse, or ""."""
        asked, failed = self._asked[True], self._failed[True]
        if failed >= FAILURES:
            expected = asked * (self._failed[False] + 1) / (self._asked[False] + 100)
            if failed > expected + 3 * math.sqrt(expected):
                return f"{failed} of {asked} requests failed"
        if min(len(one) for one in self._seconds.values()) < LEAST:
            return ""
        slow, usual = (_p95(self._seconds[side]) for side in (True, False))
        if slow > SLOWER * usual + SLACK_S:
            return f"its 95th percentile is {slow * 1000:.0f} ms, the stable's {usual * 1000:.0f}"
        return ""


def _p95(seconds: deque[float]) -> float:
    return sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1]


@final
class Slot:
    """One name's versions; changed from the event loop's thread only."""

    def __init__(self, stable: ServedModel) -> None:
        self.stable = stable
        self.canary: ServedModel | None = None
        self.shadow: ServedModel | None = None
        self.previous: ServedModel | None = None
        self.share = 0.0
        self.trial = Trial()

    def chosen(self, request_id: str) -> ServedModel:
        """Who answers a request; the same request always gets the same side."""
        if self.canary is not None and _point(request_id) < self.share:
            return self.canary
        return self.stable

    def find(self, version: str) -> ServedModel | None:
        """The version asked for, where it answers callers."""
        for model in (self.stable, self.canary):
            if model is not None and model.version == version:
                return model
        return None

    def start_canary(self, model: ServedModel, share: float) -> None:
        """Begin a trial."""
        self.canary, self.share, self.trial = model, share, Trial()

    def models(self) -> Iterator[tuple[Role, ServedModel]]:
        """Everything that is loaded, with its role."""
        yield "stable", self.stable
        if self.canary is not None:
            yield "canary", self.canary
        if self.shadow is not None:
            yield "shadow", self.shadow
        if self.previous is not None:
            yield "previous", self.previous


def _point(request_id: str) -> float:
    """Where a request lies between 0 and 1; unlike the sampling of records."""
    return zlib.crc32(b"canary:" + request_id.encode()) / 2**32
