"""A trained network to OpenVINO's graph, in 32, 16, 8 and 4 bits; for formats and passes.

TrainedModel ─ convert ─▶ fp32 graph ─┬ quantize (static int8, calibrated) ─┬▶ save ─▶ variant
                                      └ compress_weights (int8, int4) ──────┘

The graph comes from torch's own trace; through ONNX it ran equally fast and took longer to make
(docs/lab.md).
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from modelwright import plugs
from modelwright.engines._runtime import RuntimeSettings, read_runtime, write_runtime
from modelwright.errors import GateError
from modelwright.formats import Draft
from modelwright.formats._onnx import example, outputs, positional
from modelwright.runtime.libraries import nncf, openvino
from modelwright.runtime.machine import kernels
from modelwright.tasks import Features

MODEL = "model.xml"


def convert(model: Any) -> Any:
    """The network of a TrainedModel as an OpenVINO graph in fp32, any batch and length."""
    import torch

    ov = openvino()
    network = model.network.eval()
    names = network.settings.inputs
    inputs = example(model)
    rank = [ov.PartialShape([-1, *_fixed(model, value)]) for value in inputs]
    with quiet(), torch.no_grad():
        graph = ov.convert_model(
            positional(network, names), example_input=tuple(inputs), input=rank
        )
    for port, name in zip(graph.inputs, names, strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_friendly_name(name)
    for port, name in zip(graph.outputs, outputs(network), strict=True):
        port.get_tensor().set_names({name})
    return graph


def _fixed(model: Any, value: Any) -> list[int]:
    """Dimensions after the batch: free for text, the encoder's size for images."""
    return list(value.shape[1:]) if model.task.modality == "image" else [-1]


def quantize(graph: Any, model: Any, features: Sequence[Features]) -> Any:
    """Static int8: weights by channel, activations with scales learnt from `features`.

    Rows are run one by one at their own length. Embedding tables become int8 too. SmoothQuant is
    for text alone: on ViT OpenVINO's answers then depended on the batch (docs/lab.md).

    Args:
        graph: from `convert`; it stays as it is.
        model: the TrainedModel it came from.
        features: of real training rows.
    """
    from modelwright.encoders.batches import collate

    library = nncf()
    names = model.network.settings.inputs

    def inputs(feature: Features) -> list[Any]:
        arrays = collate([feature], model.encoder)
        return [arrays[name] for name in names]

    transformer = has_attention(model)
    overflow = library.OverflowFix.ENABLE if kernels().int8_saturates else None
    smooth = {} if model.task.modality == "text" else {"matmul": -1}
    advanced = library.AdvancedQuantizationParameters(
        overflow_fix=overflow,
        disable_bias_correction=transformer,
        smooth_quant_alphas=library.AdvancedSmoothQuantParameters(**smooth),
    )
    with quiet():
        return library.quantize(
            graph.clone(),
            library.Dataset(list(features), inputs),
            preset=library.QuantizationPreset.PERFORMANCE,
            model_type=library.ModelType.TRANSFORMER if transformer else None,
            subset_size=len(features),
            advanced_parameters=advanced,
        )


def compress_weights(graph: Any, bits: Literal[8, 4]) -> Any:
    """Weights alone in 8 bits, or linear layers' in 4 (in groups) and embeddings in 8.

    `graph` stays as it is. In 4 bits a scale serves the largest group of 16 to 128 weights that
    divides every layer's inputs, or all inputs of an output.
    """
    library = nncf()
    modes = library.CompressWeightsMode
    with quiet():
        if bits == 8:
            return library.compress_weights(graph.clone(), mode=modes.INT8_SYM)
        return library.compress_weights(
            graph.clone(), mode=modes.INT4_SYM, ratio=1.0, group_size=_group(graph)
        )


def _group(graph: Any) -> int:
    """Weights that share a scale in 4 bits; -1 for all inputs of an output."""
    widths = {
        node.input_value(1).get_shape()[-1]
        for node in graph.get_ops()
        if node.get_type_name() == "MatMul" and node.input_value(1).get_partial_shape().is_static
    }
    fitting = (group for group in (128, 64, 32, 16) if all(w % group == 0 for w in widths))
    return next(fitting, -1)


def write_form(
    graph: Any, form: str, variants: Path, settings: RuntimeSettings | None = None
) -> Draft:
    """Write a form that needs no training rows into `variants/openvino-FORM`.

    Args:
        graph: from `convert`; it stays as it is.
        form: fp32, bf16, fp16, int8-weights or int4-weights.
        variants: the folder of variants.
        settings: threads and streams; the precision of what runs in floats is the form's.
    """
    from modelwright.formats._embeddings import slim_embeddings

    settings = settings or RuntimeSettings()
    draft = Draft(f"openvino-{form}", "openvino", form, exact=form == "fp32")
    if form.endswith("-weights"):
        graph = slim_embeddings(compress_weights(graph, 8 if form.startswith("int8") else 4))
    settings = replace(settings, inference_precision="bf16" if form == "bf16" else "f32")
    save(graph, variants / draft.name, settings, half=form in ("bf16", "fp16"))
    return draft


def save(graph: Any, folder: Path, settings: RuntimeSettings, *, half: bool = False) -> None:
    """Write a variant's folder: model.xml, model.bin, runtime.json.

    Args:
        graph: of any precision.
        folder: of the variant.
        settings: how it is run.
        half: whether float weights are stored in 16 bits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in list(graph.get_rt_info()):
        del graph.get_rt_info()[name]
    with quiet():
        openvino().save_model(graph, str(folder / MODEL), compress_to_fp16=half)
    write_runtime(folder, settings)


def has_attention(model: Any) -> bool:
    """Whether the backbone is made of attention layers."""
    return hasattr(model.network.backbone.config, "num_attention_heads")


def attention_layers(model: Any) -> int:
    """Attention layers of the network; 0 for a family without."""
    return int(model.network.backbone.config.num_hidden_layers) if has_attention(model) else 0


def fused_attention(compiled: Any) -> int:
    """Fused attention nodes in what OpenVINO really runs."""
    found = 0
    for node in compiled.get_runtime_model().get_ops():
        info = node.get_rt_info()
        kind, names = (info[key].astype(str) for key in ("layerType", "originalLayersNames"))
        inside = names.lower()
        found += kind == "Subgraph" and "softmax" in inside and "attention" in inside
    return found


def fusions(folder: Path, model: Any, *, integers: bool = False) -> dict[str, int]:
    """Fused attention nodes and attention layers of a variant: `{"attention", "layers"}`.

    Args:
        folder: the variant's.
        model: that it was made of.
        integers: whether its attention was quantized, too.

    Raises:
        GateError: MW-501 when OpenVINO can fuse attention on this processor, Modelwright knows the
            family, and a layer is not fused.
    """
    layers = attention_layers(model)
    hint = read_runtime(folder).inference_precision or "f32"
    compiled = (
        openvino()
        .Core()
        .compile_model(str(folder / MODEL), "CPU", {"INFERENCE_PRECISION_HINT": hint})
    )
    found = fused_attention(compiled)
    known = plugs.exists("family", model.network.backbone.config.model_type)
    fuses = kernels().fuses_int8 if integers else kernels().fuses
    if found < layers and known and fuses:
        raise GateError(
            "MW-501",
            f"{found} of {layers} attention layers of {folder.name} are fused by OpenVINO",
            expected="as many fused attention nodes as layers",
            fix="report it with the versions of torch, transformers and openvino",
        )
    return {"attention": found, "layers": layers}


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what the converters say from the user; what they made is proven afterwards."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
