"""How long a call takes, measured so that two forms can be compared on a noisy machine.

Forms are timed in turn, a few calls each, in an order drawn anew for every round, so that whatever
else the machine does falls on all of them alike; ratios carry a bootstrap interval. The first call
of a turn is not counted: threads of the form before it may still be spinning.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelwright.encoders.batches import length_of, of_length
from modelwright.metrics.timing import measure, summary
from modelwright.recipe.schema import CallShape
from modelwright.tasks import Features

Form = tuple[Any, "Sequence[Call]"]
"""What answers `logits(features)`, and the calls as its encoder has them."""
DATA_CALLS = 48
"""Single rows, spread over the lengths of the training rows, that stand for `batch: data`."""
TURN = 10
"""Runs of one form before it is another's turn."""
_RESAMPLES = 1000


@dataclass(frozen=True)
class Call:
    """One call that is timed.

    Attributes:
        inputs: of each row, as users send them.
        features: the same, encoded.
        weight: share of such calls.
        batch: rows.
        length: tokens of the longest row; 1 for images.
        exact: the length that every row is brought to, where one was asked for.
    """

    inputs: tuple[Any, ...]
    features: tuple[Features, ...]
    weight: float
    batch: int
    length: int
    exact: int | None = None


def calls(batch: Any, inputs: Sequence[Any], model: Any) -> list[Call]:
    """The calls that `compress.batch` asks for, made of real rows.

    Args:
        batch: a number of rows, `data`, or a list of `CallShape`.
        inputs: of training rows.
        model: encodes them.
    """
    features = model.task.encode(inputs, model.encoder)
    first: dict[int, Features] = {}
    for place, feature in enumerate(features):
        first.setdefault(feature.get("example", place), feature)
    lengths = np.array([length_of(first[place]) for place in range(len(inputs))])
    order = np.argsort(lengths, kind="stable")
    if batch == "data":
        places = np.linspace(0, len(order) - 1, min(DATA_CALLS, len(order))).astype(int)
        return [encoded([inputs[int(order[i])]], 1.0, None, model) for i in places]
    shapes = batch if isinstance(batch, list) else [CallShape(batch=batch)]
    found = []
    for shape in shapes:
        wanted = shape.length or int(np.median(lengths))
        nearest = np.argsort(np.abs(lengths - wanted), kind="stable")
        count = min(len(nearest), shape.batch)
        rows = [inputs[int(nearest[i % count])] for i in range(shape.batch)]
        found.append(encoded(rows, shape.weight, shape.length, model))
    return found


def encoded(inputs: Sequence[Any], weight: float, exact: int | None, model: Any) -> Call:
    """A call of these inputs, with a model's encoder."""
    rows = [model.task.encode([item], model.encoder)[0] for item in inputs]
    if exact is not None and max(map(length_of, rows)) > 1:
        rows = [of_length(row, exact) for row in rows]
    longest = max(map(length_of, rows))
    return Call(tuple(inputs), tuple(rows), weight, len(rows), longest, exact)


def again(probe: Sequence[Call], model: Any) -> list[Call]:
    """The same calls with another model's encoder."""
    return [encoded(call.inputs, call.weight, call.exact, model) for call in probe]


def timed(model: Any, probe: Sequence[Call], seconds: float) -> dict[str, float]:
    """Weighted `p50_ms`, `p95_ms` of a call, and `per_second` rows.

    Args:
        model: answers `logits(features)`.
        probe: the calls.
        seconds: in all, about.
    """
    found = [
        measure(
            lambda rows=call.features: model.logits(rows),
            seconds=seconds / len(probe),
            minimum=5,
        )
        for call in probe
    ]
    return weighted(found, probe)


def weighted(found: Sequence[Mapping[str, Any]], probe: Sequence[Call]) -> dict[str, float]:
    """One figure for several calls: medians and 95th percentiles by weight, rows over time."""
    weights = np.array([call.weight for call in probe])
    p50 = np.array([each["p50_ms"] for each in found])
    p95 = np.array([each["p95_ms"] for each in found])
    rows = np.array([call.batch for call in probe])
    share = weights / weights.sum()
    return {
        "p50_ms": round(float(share @ p50), 4),
        "p95_ms": round(float(share @ p95), 4),
        "per_second": round(float(1000 * (share @ rows) / (share @ p50)), 1),
    }


def race(
    baseline: Form, chosen: Form, runs: int, seconds: float, seed: int = 0
) -> dict[str, float]:
    """Two forms in turn: medians and 95th percentiles of both, and how many times faster.

    Args:
        baseline: the slower one, and the calls as its encoder has them.
        chosen: the other, with the same calls.
        runs: wanted of each.
        seconds: after which it ends with fewer.
        seed: of the turns' order.

    Returns:
        `runs`, `baseline_p50_ms`, `baseline_p95_ms`, `p50_ms`, `p95_ms`, `ratio`, `low`, `high`.
    """
    probe = chosen[1]
    times = interleaved({"baseline": baseline, "chosen": chosen}, runs, seconds, seed)
    before, after = (percentiles(times[name], probe) for name in ("baseline", "chosen"))
    return {
        "runs": int(times["chosen"].size),
        "baseline_p50_ms": before["p50_ms"],
        "baseline_p95_ms": before["p95_ms"],
        "p50_ms": after["p50_ms"],
        "p95_ms": after["p95_ms"],
        **speed_up(times["baseline"], times["chosen"], probe),
    }


def interleaved(
    forms: Mapping[str, Form], runs: int, seconds: float, seed: int = 0
) -> dict[str, np.ndarray]:
    """Seconds of every call [runs, calls] by form, timed in turn, `TURN` runs at a time.

    Args:
        forms: by name.
        runs: wanted of each.
        seconds: after which it ends with fewer (two turns at least).
        seed: of the order within a round.
    """
    rng = np.random.default_rng(seed)
    for form in forms.values():
        _round(form)
    names = list(forms)
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    started = time.perf_counter()
    for number in range(max(1, runs // TURN)):
        for at in rng.permutation(len(names)):
            form = forms[names[at]]
            _round(form)
            found[names[at]] += [_round(form) for _ in range(TURN)]
        if number >= 1 and time.perf_counter() - started > seconds:
            break
    return {name: np.array(times) for name, times in found.items()}


def _round(form: Form) -> list[float]:
    """Seconds of every call, once."""
    model, probe = form
    found = []
    for call in probe:
        before = time.perf_counter()
        model.logits(call.features)
        found.append(time.perf_counter() - before)
    return found


def percentiles(times: np.ndarray, probe: Sequence[Call]) -> dict[str, float]:
    """`timed`'s figures from interleaved times."""
    return weighted([summary(list(column)) for column in times.T], probe)


def speed_up(
    baseline: np.ndarray, times: np.ndarray, probe: Sequence[Call], seed: int = 0
) -> dict[str, float]:
    """How many times faster by median, with its 95% interval over the rounds.

    Returns:
        `ratio`, `low`, `high`.
    """
    weights = np.array([call.weight for call in probe])
    share = weights / weights.sum()

    def ratio(index: np.ndarray) -> float:
        slow = share @ np.median(baseline[index], axis=0)
        return float(slow / (share @ np.median(times[index], axis=0)))

    rng, rounds = np.random.default_rng(seed), len(times)
    drawn = [ratio(rng.integers(0, rounds, rounds)) for _ in range(_RESAMPLES)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    whole = ratio(np.arange(rounds))
    return {
        "ratio": round(whole, 3), "low": round(float(low), 3), "high": round(float(high), 3)
    }  # fmt: skip
