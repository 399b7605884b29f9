"""How many replicas a service has when: the few numbers that every autoscaler is told.

    wanted = ceil(n + gain * (requests in flight / target - n)), at least `minimum`, at most `maximum`

for n replicas that answer; the gain is 1 where an autoscaler has none. More replicas are asked for once
`wanted` was above for `up_seconds`, fewer once it was below for `down_seconds`: fast up, slow down. The
requests in flight are those of the moment, or what was told of them: every `metrics_seconds`, as their
mean over `look_back_seconds`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from modelwright.errors import UserError
from modelwright.runtime.files import read_json, write_json

UNBOUNDED = 10_000.0
"""An `up_factor` that limits nothing: as many as a policy may have at most."""


@final
@dataclass(frozen=True)
class Policy:
    """One way to scale.

    Attributes:
        minimum: replicas, at least; 0 only where the place can start the first on demand.
        maximum: replicas, at most.
        target: requests in flight (queued or running) a replica, on average.
        up_seconds: that more replicas must have been wanted.
        down_seconds: that fewer must have been wanted.
        up_factor: by which the number may grow in one step.
        look_back_seconds: over which requests in flight are averaged; 0 for their number now.
        metrics_seconds: between two reports of them to the autoscaler; 0 where it always knows.
        up_gain: share of the way up to what the requests want that one step goes.
        down_gain: the same of the way down.
    """

    minimum: int = 1
    maximum: int = 10
    target: float = 8.0
    up_seconds: float = 0.0
    down_seconds: float = 300.0
    up_factor: float = 2.0
    look_back_seconds: float = 0.0
    metrics_seconds: float = 0.0
    up_gain: float = 1.0
    down_gain: float = 1.0

    def save(self, path: Path) -> None:
        """Write the file whole or not at all."""
        write_json(path, asdict(self))

    @staticmethod
    def load(path: Path) -> Policy:
        """Read a file that `save` wrote.

        Raises:
            UserError: MW-621; the file is not one of these.
        """
        try:
            return Policy(**read_json(path))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(
                "MW-621",
                f"{path} does not hold a scaling policy: {error}",
                expected="the file that `mw simulate BUNDLE --out FILE` writes",
                fix="Choose one anew: mw simulate BUNDLE --out policy.json",
            ) from None
