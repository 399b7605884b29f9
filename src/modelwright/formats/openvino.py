"""OpenVINO in fp32, and with a hint in bf16; in fp16, 8-bit or 4-bit weights when asked for.

fp32 is exact. bf16 computes in bfloat16 on processors that have it (twice as fast or more there)
and stores weights in 16 bits. fp16 only stores them so. Forms that are not exact are kept if their
quality holds. Static int8 needs training rows and is made by the compress stage.

    package: {formats: [{openvino: {forms: [fp32, bf16, int8-weights]}}]}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.formats import Draft, Format, _openvino

VERSION = 1
REQUIRES = {"torch": "train", "openvino": "openvino"}


class Config(BaseModel):
    """Options of the format."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    forms: list[Literal["fp32", "bf16", "fp16", "int8-weights", "int4-weights"]] = Field(
        ["fp32", "bf16"], min_length=1, description="Which forms to write."
    )


@final
class OpenVINOFormat(Format):
    """See the module."""

    def write(self, model: Any, variants: Path) -> list[Draft]:
        graph = _openvino.convert(model)
        drafts: list[Draft] = []
        for form in dict.fromkeys(self.config.forms):
            draft = _openvino.write_form(graph, form, variants)
            _openvino.fusions(variants / draft.name, model)
            drafts.append(draft)
        return drafts
