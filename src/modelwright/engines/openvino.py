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
from modelwright.engines import VECTORS, Engine
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
        self._width_of = graph.inputs[0].any_name
        if len(graph.outputs) > 1 and VECTORS in graph.output(1).names:
            self.dimensions = graph.output(1).partial_shape[1].get_length()
        self._any: Any = _Compiled(graph, given)
        self._one_row: dict[int, Any] = {
            width: _Compiled(graph, given, width) for width in settings.widths
        }
        self._in_flight = 2 * streams if streams > 1 else 1
        self.limits = BatchLimits(
            settings.tokens or TOKENS,
            settings.rows or ROWS,
            FEW_WIDTHS,
            streams,
            max(settings.widths, default=0),
        )

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        request = self._fitting(inputs).request(inputs)
        request.infer.infer()
        return request.output()

    def vectors(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        request = self._fitting(inputs).request(inputs)
        request.infer.infer()
        return request.output(1)

    def run_many(self, batches: Iterable[Mapping[str, np.ndarray]]) -> list[np.ndarray]:
        if self._in_flight == 1:
            return [self.run(inputs) for inputs in batches]
        found: list[np.ndarray] = []
        started: deque[_Request] = deque()
        for inputs in batches:
            if len(started) == self._in_flight:
                found.append(started.popleft().awaited())
            request = self._fitting(inputs).request(inputs)
            request.infer.start_async()
            started.append(request)
        found.extend(request.awaited() for request in started)
        return found

    def close(self) -> None:
        self._any, self._one_row = None, {}

    def _fitting(self, inputs: Mapping[str, np.ndarray]) -> Any:
        if self._one_row:
            rows, width = inputs[self._width_of].shape
            if rows == 1:
                return self._one_row.get(width, self._any)
        return self._any


class _Compiled:
    """A compiled graph and its requests that nobody uses now.

    Args:
        graph: of any shape.
        given: properties.
        width: of the one row that it is compiled for, which leaves less to decide at every call.
    """

    def __init__(self, graph: Any, given: Mapping[str, Any], width: int = 0) -> None:
        if width:
            graph = graph.clone()
            graph.reshape({port.any_name: [1, width] for port in graph.inputs})
        self.model = _core().compile_model(graph, "CPU", dict(given))
        self.names = [port.any_name for port in graph.inputs]
        self.fixed = width > 0
        self.idle: SimpleQueue[_Request] = SimpleQueue()

    def request(self, inputs: Mapping[str, np.ndarray]) -> _Request:
        """A request that holds these inputs."""
        try:
            request = self.idle.get_nowait()
        except Empty:
            request = _Request(self)
        request.take(inputs)
        return request


class _Request:
    """One run of a compiled graph; with a fixed shape its own arrays are written and read."""

    def __init__(self, compiled: _Compiled) -> None:
        self.compiled = compiled
        self.infer: Any = compiled.model.create_infer_request()
        places = range(len(compiled.names)) if compiled.fixed else ()
        self.arrays = [self.infer.get_input_tensor(place).data for place in places]

    def take(self, inputs: Mapping[str, np.ndarray]) -> None:
        names = self.compiled.names
        if self.arrays:
            for array, name in zip(self.arrays, names, strict=True):
                array[:] = inputs[name]
            return
        tensor = _tensor()
        for place, name in enumerate(names):
            self.infer.set_input_tensor(place, tensor(inputs[name]))

    def awaited(self) -> np.ndarray:
        self.infer.wait()
        return self.output()

    def output(self, place: int = 0) -> np.ndarray:
        """A copy of the logits (0) or the vectors (1); the request is free again."""
        found = self.infer.get_output_tensor(place).data.copy()
        self.compiled.idle.put(self)
        return found


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
