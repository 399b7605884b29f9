"""Traffic over time: generated, from a CSV, or counted in what a service recorded.

wave     a day's slow rise and fall         spike   five minutes at six times the rest
ramp     from nothing to the top in an hour  step    ten times as much from one second to the next
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.errors import UserError, did_you_mean

DAY_S, HOUR_S = 86_400, 3_600
STEP_S = 10
"""Between two values of a generated trace."""
MOST_S = 40 * DAY_S


@dataclass(frozen=True)
class Trace:
    """Requests a second, each value for `step` seconds.

    Attributes:
        name: as it was asked for.
        rates: [N] requests a second.
        step: seconds of one value.
    """

    name: str
    rates: np.ndarray
    step: float

    @property
    def seconds(self) -> float:
        return len(self.rates) * self.step

    @property
    def peak(self) -> float:
        """Requests a second."""
        return float(self.rates.max())

    def scaled(self, peak: float) -> Trace:
        """The same with another peak."""
        return Trace(self.name, self.rates * (peak / self.peak if self.peak else 0.0), self.step)


def wave(peak: float) -> Trace:
    """A day: a tenth of the peak at night."""
    at = np.arange(0, DAY_S, STEP_S) / DAY_S
    return Trace("wave", peak * (0.55 - 0.45 * np.cos(2 * math.pi * at)), STEP_S)


def spike(peak: float) -> Trace:
    """An hour at a sixth of the peak, in its midst five minutes at the peak."""
    rates = np.full(HOUR_S // STEP_S, peak / 6)
    rates[180:210] = peak
    return Trace("spike", rates, STEP_S)


def ramp(peak: float) -> Trace:
    """An hour from nothing to the peak, and half an hour there."""
    up = np.linspace(0, peak, HOUR_S // STEP_S)
    return Trace("ramp", np.concatenate([up, np.full(180, peak)]), STEP_S)


def step(peak: float) -> Trace:
    """Ten minutes at a tenth of the peak, ten at it, ten at a tenth."""
    low, high = np.full(60, peak / 10), np.full(60, peak)
    return Trace("step", np.concatenate([low, high, low]), STEP_S)


def standard(peak: float) -> Trace:
    """A day's wave with a spike to the peak at its highest, which policies are chosen by."""
    rates = wave(0.7 * peak).rates.copy()
    middle = len(rates) // 2
    rates[middle : middle + 30] = peak
    return Trace("standard", rates, STEP_S)


GENERATED: dict[str, Callable[[float], Trace]] = {
    "standard": standard, "wave": wave, "spike": spike, "ramp": ramp, "step": step,
}  # fmt: skip


def find_trace(name: str, peak: float) -> Trace:
    """A generated trace by name, or a recorded one from a file or a folder.

    Args:
        name: of `GENERATED`, a CSV with the columns `seconds` and `rate`, or the folder that
            `mw serve --traffic` writes.
        peak: requests a second of a generated one.

    Raises:
        UserError: MW-640.
    """
    if name in GENERATED:
        return GENERATED[name](peak)
    path = Path(name)
    if path.is_dir():
        return recorded(path)
    if path.is_file():
        return from_csv(path)
    raise UserError(
        "MW-640",
        f"there is no trace `{name}`",
        expected=f"one of: {', '.join(GENERATED)}; or a CSV, or a folder of recorded traffic",
        fix=did_you_mean(name, GENERATED),
    )


def from_csv(path: Path) -> Trace:
    """A file with `seconds` (from the begin, rising) and `rate` (requests a second from then on)."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.DictReader(file))
        found = [(float(line["seconds"]), float(line["rate"])) for line in lines]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unusable(path, f"it cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise _unusable(path, f"a line is not two numbers: {error}") from error
    times, rates = np.array([one[0] for one in found]), np.array([one[1] for one in found])
    if len(times) < 2 or not np.isfinite(times).all() or not np.isfinite(rates).all():
        raise _unusable(path, f"it has {len(times)} usable lines")
    if (np.diff(times) <= 0).any() or (rates < 0).any() or times[-1] - times[0] > MOST_S:
        raise _unusable(path, "its seconds do not rise, or a rate is negative, or it is too long")
    gap = max(1.0, float(np.median(np.diff(times))))
    at = np.arange(times[0], times[-1] + gap, gap)
    places = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(rates) - 1)
    return Trace(path.name, rates[places], gap)


def recorded(folder: Path) -> Trace:
    """Requests a minute of what a service recorded.

    Where it recorded a share alone (`serve.record.share`), the curve is right and its height is not:
    `scaled` gives it the peak that is known from elsewhere.
    """
    from modelwright.artifacts.traffic import read_traffic

    table = read_traffic(folder, "requests")
    table = table.filter(_first_inputs(table))
    moments = table["time"].cast("int64").to_numpy() / 1000 if table.num_rows else np.zeros(0)
    if len(moments) < 2 or moments.max() - moments.min() < 60:
        raise _unusable(folder, f"it holds {len(moments)} recorded requests of less than a minute")
    minutes = ((moments - moments.min()) // 60).astype(int)[: len(moments)]
    return Trace(folder.name, np.bincount(minutes)[:-1] / 60.0, 60.0)


def _first_inputs(table: Any) -> Any:
    """One row of each request: lists have one for each input."""
    import pyarrow.compute as pc

    return pc.equal(table["index"], 0)


def _unusable(path: Path, why: str) -> UserError:
    return UserError(
        "MW-640",
        f"{path} is no trace: {why}",
        expected="a CSV with the columns seconds (rising) and rate (requests a second), or recorded "
        "traffic of some minutes",
        fix="correct it, or take a generated one: --trace wave",
        file=str(path),
    )
