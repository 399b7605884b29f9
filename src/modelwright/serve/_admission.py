"""What a model takes on: bounded in items, tokens and bytes; beyond that callers are told to wait.

A request counts from when it was parsed until it is answered, as a whole, whether it is a list or a
single input. One that is larger than the bounds is taken when it is alone, since it would never be
otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from modelwright.serve.problems import ServiceError

LONGEST = 60
"""The most that Retry-After says, in seconds."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Most inputs, tokens and bytes of requests that are not answered yet."""

    items: int
    tokens: int
    bytes: int


@final
class Admission:
    """The requests that a model has taken on. Used from the event loop's thread only.

    Args:
        limits: see `QueueLimits`.
        wait: seconds of work that wait for the model.
    """

    def __init__(self, limits: QueueLimits, wait: Callable[[], float]) -> None:
        self._limits, self._wait = limits, wait
        self.items = self.tokens = self.bytes = 0

    def enter(self, items: int, size: int) -> Stay:
        """Take a request on; `leave` it when it is answered, however.

        Raises:
            ServiceError: MW-706 with Retry-After.
        """
        stay = Stay(self)
        stay.add(items, 0, size)
        return stay

    @property
    def most_items(self) -> int:
        """Inputs that are taken on, at most."""
        return self._limits.items

    @property
    def used(self) -> float:
        """How full it is: the fullest of the three bounds, from 0 to 1 and, for one request that is
        larger than a bound, beyond."""
        limits = self._limits
        return max(
            self.items / limits.items, self.tokens / limits.tokens, self.bytes / limits.bytes
        )

    def refused(self, detail: str, reason: str, seconds: float = 0.0) -> ServiceError:
        """A 503 that says when the work that waits now will be done.

        Args:
            detail: for the caller.
            reason: for the metrics, one of `SHED`.
            seconds: to wait, at least.
        """
        wait = min(LONGEST, max(1, math.ceil(max(seconds, self._wait()))))
        fix = f"send the request again after {wait} s"
        headers = {"Retry-After": str(wait)}
        return ServiceError("MW-706", detail, fix=fix, headers=headers, reason=reason)

    def exceeded(self, items: int, tokens: int, size: int) -> str:
        """What would be too much with so much more, or ""."""
        for name, now, more, most in (
            ("inputs", self.items, items, self._limits.items),
            ("tokens", self.tokens, tokens, self._limits.tokens),
            ("bytes", self.bytes, size, self._limits.bytes),
        ):
            if more and now + more > most:
                return name
        return ""


@dataclass(slots=True, eq=False)
class Stay:
    """One request that was taken on, and what it weighs."""

    admission: Admission
    items: int = 0
    tokens: int = 0
    bytes: int = 0

    def add(self, items: int, tokens: int, size: int) -> None:
        """Count more: at first what was sent, then what is known after encoding.

        Raises:
            ServiceError: MW-706, when that is too much beside what was taken on before.
        """
        owner = self.admission
        alone = owner.items == self.items
        if not alone and (name := owner.exceeded(items, tokens, size)):
            raise owner.refused(f"too many {name} wait for the model", name)
        owner.items, self.items = owner.items + items, self.items + items
        owner.tokens, self.tokens = owner.tokens + tokens, self.tokens + tokens
        owner.bytes, self.bytes = owner.bytes + size, self.bytes + size

    def leave(self) -> None:
        """It was answered."""
        self.admission.items -= self.items
        self.admission.tokens -= self.tokens
        self.admission.bytes -= self.bytes
