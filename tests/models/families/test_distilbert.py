"""DistilBERT beyond what every family is held to: its configuration has names of its own."""

from __future__ import annotations

from modelwright import plugs
from modelwright.models.network import build_backbone

CLS = plugs.load("family", "distilbert").cls


def test_sizes_are_told_apart_by_the_configurations_own_names() -> None:
    backbone = CLS.build(CLS.config("distilbert-tiny", vocab_size=50))
    assert not hasattr(backbone.config, "block_sizes")
    CLS.keep_layers(backbone, [1])
    CLS.keep_neurons(backbone, 0, range(100))
    assert backbone.config.n_layers == 1
    assert backbone.config.block_sizes == [{"heads": 4, "neurons": 100}]
    again = build_backbone(backbone.config)
    assert [block.neurons for block in CLS.blocks(again)] == [100]
