"""int8-dynamic: needs no rows, runs row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwright import plugs
from modelwright.compress.passes import Piece

if TYPE_CHECKING:
    from modelwright.compress.passes import Material
    from modelwright.models.checkpoint import TrainedModel

PLUG = plugs.load("pass", "int8-dynamic")


def test_it_runs_row_by_row_and_no_graph_is_left_beside_it(
    teacher: TrainedModel, material: Material
) -> None:
    piece = PLUG.cls(PLUG.config()).apply(Piece(teacher), {}, material)
    assert piece.form is not None
    assert not piece.form.draft.batch_invariant
    assert [path.name for path in piece.form.folder.parent.iterdir()] == ["onnx-int8"]
    layers = teacher.network.backbone.config.num_hidden_layers
    assert piece.facts["fusions"] == {"attention": layers, "layers": layers}
