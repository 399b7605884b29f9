"""ONNX Runtime: runs the onnx variants, fp32 and int8; the default engine of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.engines import Engine

if TYPE_CHECKING:
    import numpy as np

VERSION = 1
REQUIRES = {"onnxruntime": "serve"}


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class OnnxRuntime(Engine):
    """See the module."""

    suffix: ClassVar[str] = "model.onnx"

    def __init__(self, folder: Path, threads: int = 0) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session: Any = ort.InferenceSession(
            str(folder / self.suffix), options, providers=["CPUExecutionProvider"]
        )
        self._names = {value.name for value in self._session.get_inputs()}

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        given = {name: array for name, array in inputs.items() if name in self._names}
        return self._session.run(None, given)[0]

    def close(self) -> None:
        self._session = None
