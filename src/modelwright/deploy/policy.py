"""How many replicas a service has when: the few numbers that every autoscaler is told.

    wanted = ceil(requests in flight / target), at least `minimum`, at most `maximum`

More replicas are asked for once `wanted` was above for `up_seconds`, fewer once it was below for
`down_seconds`: fast up, slow down.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from modelwright.errors import UserError
from modelwright.runtime.files import read_json, write_json


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
    """

    minimum: int = 1
    maximum: int = 10
    target: float = 8.0
    up_seconds: float = 0.0
    down_seconds: float = 300.0
    up_factor: float = 2.0

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
