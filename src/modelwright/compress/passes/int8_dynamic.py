"""ONNX Runtime in dynamic int8: scales of activations are taken as they come; needs no rows.

A scale is taken over a whole batch, so rows would change each other's answers: this form runs one
row at a time (decision 004).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.compress.passes import Material, Pass, Piece

if TYPE_CHECKING:
    from modelwright.models.checkpoint import TrainedModel

VERSION = 1
REQUIRES = {"torch": "train", "onnx": "train", "onnxruntime": "train"}


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Int8Dynamic(Pass):
    """See the module."""

    group: ClassVar[str] = "quantize"
    order: ClassVar[int] = 90
    writes_form: ClassVar[bool] = True

    def misfit(self, model: TrainedModel) -> str:
        from modelwright.formats._openvino import has_attention

        return "" if has_attention(model) else "convolutions gain nothing from dynamic int8"

    def apply(self, piece: Piece, choice: Mapping[str, Any], material: Material) -> Piece:
        """Write the form with the choice's `threads` and `streams`."""
        from modelwright.compress.passes._forms import formed, fresh, settings_of
        from modelwright.engines._runtime import write_runtime
        from modelwright.formats import Draft, _onnx

        variants = fresh(material)
        path = variants / "model.onnx"
        _onnx.export(piece.model, path)
        _onnx.fuse(piece.model, path)
        draft = Draft("onnx-int8", "onnxruntime", "int8", exact=False, batch_invariant=False)
        folder = variants / draft.name
        _onnx.quantize_dynamic(path, folder)
        path.unlink()
        write_runtime(folder, settings_of(choice))
        return formed(piece, folder, draft)
