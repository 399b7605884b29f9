"""How fast: latency by batch and length, and rows a second on the real rows in file order.

Latency is the model alone on encoded features of exactly the length named; lengths are those of
the rows at hand (median, 95th percentile) and the longest the encoder takes. Throughput is the
whole way from the user's input to the answer, encoding and decoding included.

    evaluate: {suites: [{speed: {seconds: 20, batches: [1, 16]}}]}
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Annotated, Any, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.evaluate.suites import Context, Suite

VERSION = 1

_LEAST_RUNS = 1
_BLOCK_ROWS = 256
_THROUGHPUT_SHARE = 0.4


class Config(BaseModel):
    """Options of the speed suite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    batches: list[Annotated[int, Field(ge=1, le=4096)]] = Field(
        default_factory=lambda: [1, 8, 32], min_length=1, description="Batch sizes."
    )
    lengths: list[Annotated[int, Field(ge=3, le=32768)]] | None = Field(
        None, description="Lengths in tokens; derived from the rows and the encoder."
    )
    seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        10, description="Time for all measurements, about."
    )


@final
class Speed(Suite):
    """Measures the model in this process."""

    config: Config

    def measure(self, context: Context) -> dict[str, Any]:
        """`latency` (one entry a shape), `throughput` and the `machine`."""
        from modelwright.runtime import machine

        shapes = list(itertools.product(self._lengths(context), self.config.batches))
        each = self.config.seconds * (1 - _THROUGHPUT_SHARE) / len(shapes)
        return {
            "latency": [_latency(context, batch, length, seconds=each) for length, batch in shapes],
            "throughput": _throughput(context, self.config.seconds * _THROUGHPUT_SHARE),
            "machine": machine.describe(),
        }

    def _lengths(self, context: Context) -> Sequence[int | None]:
        """Median, 95th percentile, longest; [None] for images, which have one size."""
        import numpy as np

        found = [
            len(feature["input_ids"]) for feature in context.features if "input_ids" in feature
        ]
        if not found:
            return [None]
        longest = _longest(context, found)
        if self.config.lengths is not None:
            return sorted({min(length, longest) for length in self.config.lengths})
        usual = {int(np.quantile(found, share).round()) for share in (0.5, 0.95)}
        return sorted(usual | {longest})


def _longest(context: Context, found: Sequence[int]) -> int:
    settings = getattr(context.model.encoder, "settings", None)
    return int(getattr(settings, "max_tokens", max(found)))


def _latency(context: Context, batch: int, length: int | None, *, seconds: float) -> dict[str, Any]:
    from modelwright.encoders.batches import of_length
    from modelwright.metrics import timing

    rows = [context.rows[index % len(context.rows)] for index in range(batch)]
    encoded = context.task.encode(
        [context.task.example(row) for row in rows], context.model.encoder
    )
    features = [dict(feature) for feature in encoded[:batch]]
    if length is not None:
        features = [of_length(feature, length) for feature in features]
    found = timing.measure(
        lambda: context.model.logits(features), seconds=seconds, minimum=_LEAST_RUNS
    )
    return {
        "batch": batch,
        "length": length,
        "p50_ms": round(found["p50_ms"], 3),
        "p95_ms": round(found["p95_ms"], 3),
        "p99_ms": round(found["p99_ms"], 3),
        "per_second": round(found["per_second"] * batch, 1),
        "runs": found["runs"],
    }


def _throughput(context: Context, seconds: float) -> dict[str, Any]:
    """Rows a second from input to answer, in file order, over all rows or for `seconds`."""
    task, model = context.task, context.model
    done, spent = 0, {"encode": 0.0, "model": 0.0, "decode": 0.0}
    started = time.perf_counter()
    while done < len(context.rows) and (done == 0 or time.perf_counter() - started < seconds):
        block = context.rows[done : done + _BLOCK_ROWS]
        marks = [time.perf_counter()]
        features = task.encode([task.example(row) for row in block], model.encoder)
        marks.append(time.perf_counter())
        logits = model.logits(features)
        marks.append(time.perf_counter())
        task.decode(logits, features)
        marks.append(time.perf_counter())
        for part, (before, after) in zip(spent, itertools.pairwise(marks), strict=True):
            spent[part] += after - before
        done += len(block)
    total = sum(spent.values())
    return {
        "rows": done,
        "rows_per_second": round(done / max(total, 1e-9), 1),
        "seconds": round(total, 3),
        "shares": {part: round(value / max(total, 1e-9), 4) for part, value in spent.items()},
    }
