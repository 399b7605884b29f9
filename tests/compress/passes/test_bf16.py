"""bf16: asked for where the processor has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from modelwright import plugs
from modelwright.compress.passes import Piece
from modelwright.engines._runtime import read_runtime
from modelwright.runtime import machine

if TYPE_CHECKING:
    from modelwright.compress.passes import Material
    from modelwright.models.checkpoint import TrainedModel

PLUG = plugs.load("pass", "bf16")


def test_it_asks_for_bfloat16_and_halves_the_weights(
    teacher: TrainedModel, material: Material
) -> None:
    form = PLUG.cls(PLUG.config()).apply(Piece(teacher), {}, material).form
    assert form is not None
    assert read_runtime(form.folder).inference_precision == "bf16"
    weights = sum(4 * weight.numel() for weight in teacher.network.parameters())
    assert (form.folder / "model.bin").stat().st_size < 0.55 * weights


def test_a_processor_without_bf16_is_told(
    teacher: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(machine.describe(), "flags", ["avx2", "avx512f", "avx512_vnni"])
    assert PLUG.cls(PLUG.config()).misfit(teacher) == "this processor has no bf16 units"
    monkeypatch.setitem(machine.describe(), "flags", ["avx512f", "avx512_bf16"])
    assert PLUG.cls(PLUG.config()).misfit(teacher) == ""
