"""Which threads, streams and batches run a packaged form best on this machine, by measuring."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from modelwright.engines._bundle import open_variant
from modelwright.engines._runtime import RuntimeSettings, read_runtime, write_runtime
from modelwright.runtime.machine import cores
from modelwright.tasks import Features, Task

BATCHES = (256, 512, 1024)
"""Tokens of a batch that are tried."""
ROWS = 32
WORTH = 1.05
"""A setting replaces the one before it only if it is faster by this factor."""


def tune(
    folder: Path,
    engine: str,
    task: Task,
    encoder: Any,
    features: Sequence[Features],
    aim: Literal["one", "many"] = "many",
) -> RuntimeSettings:
    """Measure and write `runtime.json`; what is not faster by 5% is left as it was.

    Args:
        folder: of the variant.
        engine: that runs it.
        task: with its labels.
        encoder: the bundle's.
        features: real rows; their lengths count.
        aim: latency of one row, or throughput of 32 at once.
    """
    best = read_runtime(folder)
    alone = replace(best, threads=cores(), streams=1)
    shared = replace(best, threads=cores(), streams=cores())
    options = [alone, shared]
    if aim == "many":
        options += [replace(shared, tokens=tokens) for tokens in BATCHES]

    def seconds(settings: RuntimeSettings) -> float:
        write_runtime(folder, settings)
        variant = open_variant(folder, engine, task, encoder)
        size = 1 if aim == "one" else ROWS
        calls = [features[i : i + size] for i in range(0, len(features), size)][:ROWS]
        took = min(_once(variant, calls) for _ in range(4))
        variant.engine.close()
        return took

    least = seconds(best)
    for settings in options:
        if settings != best and (took := seconds(settings)) * WORTH < least:
            best, least = settings, took
    write_runtime(folder, best)
    return best


def _once(variant: Any, calls: Sequence[Sequence[Features]]) -> float:
    started = time.perf_counter()
    for call in calls:
        variant.logits(call)
    return time.perf_counter() - started
