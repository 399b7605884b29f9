"""A trained network to an ONNX graph, fused, and its weights to 8 bits; for formats and passes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OPSET = 17


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
                _positional(network, names),
                tuple(_example(model)),
                str(path),
                input_names=list(names),
                output_names=["logits"],
                dynamic_axes=_axes(network, names),
                opset_version=OPSET,
                dynamo=False,
            )
    finally:
        if before is not None:
            config._attn_implementation = before


def _positional(network: Any, names: tuple[str, ...]) -> Any:
    """The exporter passes inputs by position; the network takes them by name."""
    import torch

    class Positional(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *inputs: Any) -> Any:
            return self.network(**dict(zip(names, inputs, strict=True)))

    return Positional().eval()


def _example(model: Any) -> list[Any]:
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
        return {"pixel_values": {0: "batch"}, "logits": {0: "batch"}}
    axes = {name: {0: "batch", 1: "tokens"} for name in names}
    token_head = network.settings.head == "token"
    axes["logits"] = {0: "batch", 1: "tokens"} if token_head else {0: "batch"}
    return axes


def fuse(model: Any, path: Path) -> None:
    """Fuse attention, layer norms and GELU of BERT-like graphs, in place."""
    config = model.network.backbone.config
    if config.model_type not in ("bert", "roberta", "distilbert", "xlm-roberta", "electra"):
        return
    from onnxruntime.transformers import optimizer

    with quiet():
        fused = optimizer.optimize_model(
            str(path),
            "bert",
            num_heads=config.num_attention_heads,
            hidden_size=config.hidden_size,
            opt_level=0,
        )
        fused.save_model_to_file(str(path))


def quantize_dynamic(source: Path, folder: Path) -> None:
    """Write the graph at `source` into `folder` with 8-bit weights, one scale a channel."""
    from onnx import TensorProto
    from onnxruntime import quantization

    folder.mkdir(parents=True)
    with quiet():
        quantization.quantize_dynamic(
            str(source),
            str(folder / "model.onnx"),
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
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
