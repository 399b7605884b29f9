"""OpenVINO: runs the openvino variants in fp32, bf16, fp16 and 8-bit integers on the CPU.

Kernels are made for each shape when it is first met (2 to 10 ms for a small model), so batches come
in few shapes. A batch holds rows of one padded width, which makes an answer the same to the last
bit whatever else is asked. Batches are kept small, so that what passes between layers stays in a
core's cache, and run side by side on the streams. A small model has graphs for single rows of its
usual widths (`runtime.json`): a change of shape costs a tenth of a millisecond and more, and so
much is gained that such rows are run one by one also in batches. Nothing is cached on disk, and no
processor core is claimed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.encoders.limits import FEW_WIDTHS, BatchLimits
from modelwright.engines import Engine
from modelwright.engines._runtime import RuntimeSettings, read_runtime

if TYPE_CHECKING:
    import numpy as np

VERSION = 1
REQUIRES = {"openvino": "openvino"}
TOKENS = 512
ROWS = 32


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
        given = properties(settings, threads)
        graph = _core().read_model(str(folder / self.suffix))
        self._names = [port.any_name for port in graph.inputs]
        self._any: Any = _Compiled(_core().compile_model(graph, "CPU", given))
        self._one_row = {width: _for_one_row(graph, width, given) for width in settings.widths}
        self._in_flight = 2 * streams if streams > 1 else 1
        self.limits = BatchLimits(
            settings.tokens or TOKENS,
            settings.rows or ROWS,
            FEW_WIDTHS,
            streams,
            max(settings.widths, default=0),
        )

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        compiled = self._fitting(inputs)
        request = compiled.request()
        self._give(request, inputs)
        request.infer()
        return compiled.take(request)

    def run_many(self, batches: Iterable[Mapping[str, np.ndarray]]) -> list[np.ndarray]:
        if self._in_flight == 1:
            return [self.run(inputs) for inputs in batches]
        found: list[np.ndarray] = []
        started: deque[Any] = deque()
        for inputs in batches:
            if len(started) == self._in_flight:
                found.append(_taken(*started.popleft()))
            compiled = self._fitting(inputs)
            request = compiled.request()
            self._give(request, inputs)
            request.start_async()
            started.append((compiled, request))
        found.extend(_taken(*each) for each in started)
        return found

    def close(self) -> None:
        self._any, self._one_row = None, {}

    def _fitting(self, inputs: Mapping[str, np.ndarray]) -> Any:
        if self._one_row:
            shape = inputs[self._names[0]].shape
            if shape[0] == 1:
                return self._one_row.get(shape[1], self._any)
        return self._any

    def _give(self, request: Any, inputs: Mapping[str, np.ndarray]) -> None:
        tensor = _tensor()
        for place, name in enumerate(self._names):
            request.set_input_tensor(place, tensor(inputs[name]))


class _Compiled:
    """A compiled graph and its requests that nobody uses now."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._idle: SimpleQueue[Any] = SimpleQueue()

    def request(self) -> Any:
        try:
            return self._idle.get_nowait()
        except Empty:
            return self.model.create_infer_request()

    def take(self, request: Any) -> np.ndarray:
        """A copy of the logits; the request is free again."""
        logits = request.get_output_tensor(0).data.copy()
        self._idle.put(request)
        return logits


def _taken(compiled: _Compiled, request: Any) -> np.ndarray:
    request.wait()
    return compiled.take(request)


def _for_one_row(graph: Any, width: int, given: dict[str, Any]) -> _Compiled:
    """The graph compiled for one row of a width: less to decide at every call."""
    own = graph.clone()
    own.reshape({port.any_name: [1, width] for port in own.inputs})
    return _Compiled(_core().compile_model(own, "CPU", given))


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
