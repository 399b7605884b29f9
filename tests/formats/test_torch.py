"""torch-fp32: the network as it was trained, in safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modelwright import plugs
from modelwright.engines._bundle import open_variant

if TYPE_CHECKING:
    from modelwright.models.checkpoint import TrainedModel

TEXTS = ["where is my refund", "close the account", "订单"]


def test_it_writes_one_exact_variant_without_pickles(trained: TrainedModel, tmp_path: Path) -> None:
    plug = plugs.load("format", "torch")
    (draft,) = plug.cls(plug.config()).write(trained, tmp_path)
    assert (draft.name, draft.engine, draft.precision) == ("torch-fp32", "torch", "fp32")
    assert draft.exact
    assert draft.batch_invariant
    names = {path.name for path in (tmp_path / draft.name).iterdir()}
    assert names == {"model.safetensors", "config.json", "network.json"}


def test_what_it_wrote_gives_equal_logits(trained: TrainedModel, tmp_path: Path) -> None:
    plug = plugs.load("format", "torch")
    (draft,) = plug.cls(plug.config()).write(trained, tmp_path)
    variant = open_variant(tmp_path / draft.name, draft.engine, trained.task, trained.encoder)
    features = variant.encode(TEXTS)
    pairs = zip(trained.logits(features), variant.logits(features), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)
