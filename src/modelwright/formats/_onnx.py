"""A trained network to an ONNX graph, fused, and its weights to 8 bits; for formats and passes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modelwright.engines import VECTORS
from modelwright.runtime.machine import kernels

OPSET = 17
ATTENTION = ("Attention", "QAttention", "MultiHeadAttention")
"""Fused attention in fp32 and in dynamic int8."""
FUSED = ("bert", "roberta", "distilbert", "xlm-roberta", "electra")
"""Families whose attention ONNX Runtime's optimizer knows."""


def export(model: Any, path: Path) -> None:
    """Write a TrainedModel's network in fp32 with dynamic batch and length (decision 006)."""
    import torch

    network = model.network.eval()
    config = network.backbone.config
    names = network.settings.inputs
    before = getattr(config, "_attn_implementation", None)
    if before is not None:
        config._attn_implementation = "eager"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                positional(network, names),
                tuple(example(model)),
                str(path),
                input_names=list(names),
                output_names=outputs(network),
                dynamic_axes=_axes(network, names),
                opset_version=OPSET,
                dynamo=False,
            )
    finally:
        if before is not None:
            config._attn_implementation = before


def outputs(network: Any) -> list[str]:
    """Names of what a graph gives: logits, and the vectors behind them for a sequence head.

    The vectors are made anyway; an engine that is not asked for them gives logits alone.
    """
    return ["logits"] if network.settings.head == "token" else ["logits", VECTORS]


def positional(network: Any, names: tuple[str, ...]) -> Any:
    """The exporter passes inputs by position; the network takes them by name."""
    import torch

    class Positional(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *inputs: Any) -> Any:
            found = self.network.outcome(**dict(zip(names, inputs, strict=True)))
            return found if len(found) > 1 else found[0]

    return Positional().eval()


def example(model: Any) -> list[Any]:
    import torch

    if model.task.modality == "image":
        height, width = model.encoder.settings.size
        return [torch.zeros(2, model.encoder.settings.channels, height, width)]
    values = {
        "input_ids": torch.arange(32).reshape(2, 16) % model.network.backbone.config.vocab_size,
        "attention_mask": torch.ones(2, 16, dtype=torch.int64),
        "token_type_ids": torch.zeros(2, 16, dtype=torch.int64),
    }
    return [values[name] for name in model.network.settings.inputs]


def _axes(network: Any, names: tuple[str, ...]) -> dict[str, dict[int, str]]:
    if network.settings.modality == "image":
        return {name: {0: "batch"} for name in ("pixel_values", *outputs(network))}
    axes = {name: {0: "batch", 1: "tokens"} for name in names}
    for name in outputs(network):
        token_head = network.settings.head == "token"
        axes[name] = {0: "batch", 1: "tokens"} if token_head else {0: "batch"}
    return axes


def fuse(model: Any, path: Path) -> None:
    """Fuse attention, layer norms and GELU of BERT-like graphs, in place.

    The heads of each layer are read off its weights, since layers may have been cut unevenly.
    """
    config = model.network.backbone.config
    if config.model_type not in FUSED:
        return
    import onnx
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.onnx_model_bert import BertOnnxModel

    heads, width = config.num_attention_heads, config.hidden_size
    with quiet():
        graph = BertOnnxModel(onnx.load(str(path)), heads, width)

        def sizes(reshape: Any) -> tuple[int, int]:
            rows = _weight_of(graph, reshape).dims[1]
            return rows * heads // width, rows

        graph.attention_fusion.get_num_heads_and_hidden_size = sizes
        graph.optimize(FusionOptions("bert"))
        graph.topological_sort()
        graph.save_model_to_file(str(path))


def _weight_of(graph: Any, reshape: Any) -> Any:
    """The weight [in, out] of the projection that a reshape into heads follows."""
    (_, product) = graph.match_parent_path(reshape, ["Add", "MatMul"], [0, None])
    return graph.get_initializer(product.input[1])


def fused_attention(path: Path) -> int:
    """Fused attention nodes of a graph."""
    import onnx

    nodes = onnx.load(str(path), load_external_data=False).graph.node
    return sum(node.op_type in ATTENTION for node in nodes)


def quantize_dynamic(source: Path, folder: Path) -> None:
    """Write the graph at `source` into `folder` with 8-bit weights, one scale a channel.

    They keep to 7 bits where the processor would overflow (see `Kernels.int8_saturates`).
    """
    from onnx import TensorProto
    from onnxruntime import quantization

    folder.mkdir(parents=True)
    with quiet():
        quantization.quantize_dynamic(
            str(source),
            str(folder / "model.onnx"),
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            reduce_range=kernels().int8_saturates,
            extra_options={"DefaultTensorType": TensorProto.FLOAT},
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporter's advice from the user; what it made is proven afterwards."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
