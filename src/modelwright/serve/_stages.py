"""Where the time of a request goes: parse, tokenise, queue, inference, encode.

A request notes each stage as it leaves it. The histogram of its model and its trace are made of
these notes once it is answered, so that nothing is looked up or made on the way.
"""

from __future__ import annotations

import time
from typing import final

STAGES = ("parse", "tokenise", "queue", "inference", "encode")
"""Bytes to inputs; inputs to tokens or pixels; waiting for the model; in the model, with what other
requests of its batch take, until the answer is back; answer to bytes."""


@final
class Stages:
    """The stages that a request has left.

    Attributes:
        passed: name, beginning and end of each, in seconds of the monotonic clock.
    """

    __slots__ = ("passed",)

    def __init__(self) -> None:
        self.passed: list[tuple[str, float, float]] = []

    def note(self, name: str, began: float, ended: float = 0.0) -> None:
        """A stage was left, now or at `ended`."""
        self.passed.append((name, began, ended or time.monotonic()))
