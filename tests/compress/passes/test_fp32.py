"""fp32: the exact form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwright import plugs
from modelwright.compress.passes import Piece
from modelwright.engines._runtime import read_runtime

if TYPE_CHECKING:
    from modelwright.compress.passes import Material
    from modelwright.models.checkpoint import TrainedModel

PLUG = plugs.load("pass", "fp32")


def test_it_is_the_exact_form_and_needs_nothing_of_the_processor(
    teacher: TrainedModel, material: Material
) -> None:
    one = PLUG.cls(PLUG.config())
    assert one.misfit(teacher) == ""
    form = one.apply(Piece(teacher), {}, material).form
    assert form is not None
    assert form.draft.exact
    assert read_runtime(form.folder).inference_precision == "f32"


def test_threads_and_streams_of_a_choice_are_kept(
    teacher: TrainedModel, material: Material
) -> None:
    form = (
        PLUG.cls(PLUG.config()).apply(Piece(teacher), {"threads": 2, "streams": 1}, material).form
    )
    assert form is not None
    settings = read_runtime(form.folder)
    assert (settings.threads, settings.streams) == (2, 1)
