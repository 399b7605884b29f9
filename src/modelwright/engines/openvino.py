"""OpenVINO: runs the openvino variants in fp32, bf16, fp16 and 8-bit integers on the CPU.

Kernels are made for each shape when it is first met (2 to 10 ms for a small model), so batches come
in few shapes. A batch holds rows of one padded width, which makes an answer the same to the last
bit whatever else is asked. Batches are kept small, so that what passes between layers stays in a
core's cache, and run side by side on the streams. Nothing is cached on disk, and no processor core
is claimed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.encoders.limits import BatchLimits
from modelwright.engines import Engine
from modelwright.engines._runtime import RuntimeSettings, read_runtime

if TYPE_CHECKING:
    import numpy as np

VERSION = 1
REQUIRES = {"openvino": "openvino"}
TOKENS = 512
ROWS = 32
MULTIPLE = 4


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class OpenVINO(Engine):
    """See the module. Safe to be used from several threads."""

    suffix: ClassVar[str] = "model.xml"

    def __init__(self, folder: Path, threads: int = 0) -> None:
        settings = read_runtime(folder)
        _, streams = settings.placed(threads)
        self._compiled: Any = _core().compile_model(
            str(folder / self.suffix), "CPU", properties(settings, threads)
        )
        self._names = [port.any_name for port in self._compiled.inputs]
        self._idle: SimpleQueue[Any] = SimpleQueue()
        self._in_flight = 2 * streams if streams > 1 else 1
        self.limits = BatchLimits(
            settings.tokens or TOKENS, settings.rows or ROWS, MULTIPLE, streams
        )

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        request = self._request()
        self._give(request, inputs)
        request.infer()
        return self._take(request)

    def run_many(self, batches: Iterable[Mapping[str, np.ndarray]]) -> list[np.ndarray]:
        if self._in_flight == 1:
            return [self.run(inputs) for inputs in batches]
        found: list[np.ndarray] = []
        started: deque[Any] = deque()
        for inputs in batches:
            if len(started) == self._in_flight:
                found.append(self._take(started.popleft()))
            request = self._request()
            self._give(request, inputs)
            request.start_async()
            started.append(request)
        found.extend(self._take(request) for request in started)
        return found

    def close(self) -> None:
        self._compiled, self._idle = None, SimpleQueue()

    def _request(self) -> Any:
        try:
            return self._idle.get_nowait()
        except Empty:
            return self._compiled.create_infer_request()

    def _give(self, request: Any, inputs: Mapping[str, np.ndarray]) -> None:
        tensor = _tensor()
        for place, name in enumerate(self._names):
            request.set_input_tensor(place, tensor(inputs[name]))

    def _take(self, request: Any) -> np.ndarray:
        """A copy of the logits when they are there; the request is free again."""
        request.wait()
        logits = request.get_output_tensor(0).data.copy()
        self._idle.put(request)
        return logits


def properties(settings: RuntimeSettings, threads: int = 0) -> dict[str, Any]:
    """What a model is compiled with.

    OpenVINO takes bf16 by itself where the processor has it; here fp32 is meant unless the settings
    say otherwise.
    """
    total, streams = settings.placed(threads)
    return {
        "INFERENCE_NUM_THREADS": total,
        "NUM_STREAMS": streams,
        "INFERENCE_PRECISION_HINT": settings.inference_precision or "f32",
        "ENABLE_CPU_PINNING": False,
    }


@cache
def _core() -> Any:
    from modelwright.runtime.libraries import openvino

    return openvino().Core()


@cache
def _tensor() -> Any:
    from modelwright.runtime.libraries import openvino

    return openvino().Tensor
