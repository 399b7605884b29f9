"""ONNX in fp32, with attention fused where the family allows, and in dynamic int8.

Weights of the int8 form are stored as 8-bit integers and activations are quantized as they come
(ONNX Runtime's dynamic quantization); it is kept only if its quality holds. The scale of an
activation is taken over the whole batch, so rows would change each other's answers: this form runs
one row at a time, which on the CPU costs little.

    package: {formats: [{onnx: {int8: false}}]}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.formats import Draft, Format, _onnx

VERSION = 1
REQUIRES = {"onnx": "train", "onnxruntime": "train"}


class Config(BaseModel):
    """Options of the format."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    int8: bool = Field(True, description="Also write the dynamic int8 form.")


@final
class OnnxFormat(Format):
    """See the module."""

    def write(self, model: Any, variants: Path) -> list[Draft]:
        folder = variants / "onnx-fp32"
        folder.mkdir(parents=True)
        path = folder / "model.onnx"
        _onnx.export(model, path)
        _onnx.fuse(model, path)
        drafts = [Draft("onnx-fp32", "onnxruntime", "fp32", exact=True)]
        if self.config.int8 and model.task.modality == "text":
            _onnx.quantize_dynamic(path, variants / "onnx-int8")
            drafts.append(
                Draft("onnx-int8", "onnxruntime", "int8", exact=False, batch_invariant=False)
            )
        return drafts
