"""ONNX Runtime: runs the onnx variants, fp32 and int8; the default engine of a bundle.

With more than one stream (`runtime.json`, or `spread`) it runs batches side by side, each on its
part of the threads. Streams of one thread share a session, for a call then runs on the thread that
makes it; others have a session each.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.encoders.limits import BatchLimits
from modelwright.engines import VECTORS, Engine
from modelwright.engines._runtime import is_tuned, read_runtime
from modelwright.runtime.machine import quota_cores

if TYPE_CHECKING:
    import numpy as np

VERSION = 1
REQUIRES = {"onnxruntime": "serve"}
TOKENS = 8192
STREAM_TOKENS = 512
ROWS = 64
AT_ONCE = 16
"""Batches that are made before any is run; all of them would not fit in memory."""


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class OnnxRuntime(Engine):
    """See the module."""

    suffix: ClassVar[str] = "model.onnx"

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self._folder, self._settings, self._threads = folder, read_runtime(folder), threads
        total, streams = self._settings.placed(threads)
        self._start(max(1, total // streams) if streams > 1 else threads, streams)

    def _start(self, threads: int, streams: int) -> None:
        """Open the sessions: `streams` side by side, of so many threads each."""
        self._sessions: list[Any] = [
            _session(self._folder / self.suffix, threads)
            for _ in range(1 if threads == 1 else streams)
        ]
        self._names = {value.name for value in self._sessions[0].get_inputs()}
        outputs = {value.name: value.shape[-1] for value in self._sessions[0].get_outputs()}
        self._logits = next(iter(outputs))
        self.dimensions = int(outputs.get(VECTORS, 0))
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for number in range(streams):
            self._idle.put(self._sessions[number % len(self._sessions)])
        self._pool = ThreadPoolExecutor(streams) if streams > 1 else None
        tokens = self._settings.tokens or (STREAM_TOKENS if streams > 1 else TOKENS)
        self.limits = BatchLimits(tokens, self._settings.rows or ROWS, workers=streams)

    def spread(self, streams: int) -> OnnxRuntime | None:
        if self._threads or self.limits.workers > 1 or is_tuned(self._folder):
            return None
        found = copy.copy(self)
        found._start(1, streams)
        return found

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return self._run(inputs, self._logits)

    def vectors(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return self._run(inputs, VECTORS)

    def _run(self, inputs: Mapping[str, np.ndarray], output: str) -> np.ndarray:
        given = {name: array for name, array in inputs.items() if name in self._names}
        session = self._idle.get()
        try:
            return session.run([output], given)[0]
        finally:
            self._idle.put(session)

    def run_many(self, batches: Iterable[Mapping[str, np.ndarray]]) -> list[np.ndarray]:
        if self._pool is None:
            return [self.run(inputs) for inputs in batches]
        found: list[np.ndarray] = []
        rest = iter(batches)
        while some := list(islice(rest, AT_ONCE)):
            found.extend(self._pool.map(self.run, some))
        return found

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        self._sessions, self._idle = [], SimpleQueue()


def _session(path: Path, threads: int) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or quota_cores()
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # it keeps what the largest call took (docs/lab.md)
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
