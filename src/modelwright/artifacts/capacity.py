"""What one replica of a service can do on one machine, measured by a load that grew step by step.

From it come requests, limits, replica counts and scaling targets of every place to run, and what
a simulated service answers. One JSON file, written and read here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from modelwright.errors import UserError
from modelwright.runtime.files import read_json, write_json


@final
@dataclass(frozen=True)
class Load:
    """One step of the load, open loop.

    Attributes:
        rate: requests a second that were sent.
        answered: share of them that got an answer and no error.
        p50_ms: median of the answered ones.
        p99_ms: 99th percentile of the answered ones.
        queue: mean depth of the service's queue, requests.
        cpu: mean of cores in use.
    """

    rate: float
    answered: float
    p50_ms: float
    p99_ms: float
    queue: float
    cpu: float


@final
@dataclass(frozen=True)
class Capacity:
    """One replica, measured.

    Attributes:
        bundle: name of the bundle.
        version: of the bundle, a content digest.
        variant: that was served.
        machine: processor and instruction set, in words.
        cores: that the replica could use.
        slo_p99_ms: promised 99th percentile.
        per_second: highest measured rate at which the promise held and nothing failed.
        loads: steps of the load, lowest rate first.
        memory_mb: resident memory after the load.
        ready_seconds: from start to the first time that the service was ready.
    """

    bundle: str
    version: str
    variant: str
    machine: str
    cores: int
    slo_p99_ms: float
    per_second: float
    loads: tuple[Load, ...]
    memory_mb: float
    ready_seconds: float

    def save(self, path: Path) -> None:
        """Write the file whole or not at all."""
        write_json(path, asdict(self))

    @staticmethod
    def load(path: Path) -> Capacity:
        """Read a file that `save` wrote.

        Raises:
            UserError: MW-620; the file is not one of these.
        """
        try:
            return Capacity.restored(read_json(path))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(
                "MW-620",
                f"{path} does not hold a measured capacity: {error}",
                expected="the file that `mw bench BUNDLE --service --out FILE` writes",
                fix="Measure again: mw bench BUNDLE --service --out capacity.json",
            ) from None

    @staticmethod
    def restored(data: dict[str, Any]) -> Capacity:
        """From what `asdict` gave."""
        loads = tuple(Load(**one) for one in data["loads"])
        return Capacity(**{**data, "loads": loads})
