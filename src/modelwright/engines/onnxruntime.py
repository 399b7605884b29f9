"""ONNX Runtime: runs the onnx variants, fp32 and int8; the default engine of a bundle.

With more than one stream (`runtime.json`) it holds as many sessions, each with its part of the
threads, and runs batches side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.encoders.limits import BatchLimits
from modelwright.engines import VECTORS, Engine
from modelwright.engines._runtime import read_runtime

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
        import onnxruntime as ort

        settings = read_runtime(folder)
        total, streams = settings.placed(threads)
        options = ort.SessionOptions()
        options.intra_op_num_threads = max(1, total // streams) if streams > 1 else threads
        options.log_severity_level = 3
        self._sessions: Any = [
            ort.InferenceSession(
                str(folder / self.suffix), options, providers=["CPUExecutionProvider"]
            )
            for _ in range(streams)
        ]
        self._names = {value.name for value in self._sessions[0].get_inputs()}
        outputs = {value.name: value.shape[-1] for value in self._sessions[0].get_outputs()}
        self._logits = next(iter(outputs))
        self.dimensions = int(outputs.get(VECTORS, 0))
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for session in self._sessions:
            self._idle.put(session)
        self._pool = ThreadPoolExecutor(streams) if streams > 1 else None
        tokens = settings.tokens or (STREAM_TOKENS if streams > 1 else TOKENS)
        self.limits = BatchLimits(tokens, settings.rows or ROWS, workers=streams)

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
