"""What the numeric passes share: settings from a choice, calibration rows, the piece they give."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modelwright.compress.passes import Form, Material, Piece
from modelwright.encoders.limits import FEW_WIDTHS
from modelwright.engines._runtime import RuntimeSettings
from modelwright.formats import Draft
from modelwright.runtime.machine import cores, kernels

if TYPE_CHECKING:
    from modelwright.tasks import Features

SMALL_BYTES = 12_000_000
"""Linear layers of at most so many bytes are held once for each usual width."""
MOST_WIDTHS, USUAL = 6, 0.02


def settings_of(choice: Mapping[str, Any]) -> RuntimeSettings:
    """Threads and streams of a choice.

    Without a choice every core has its own stream: small models gain little from a second thread
    (docs/lab.md), and batches run side by side.
    """
    threads = int(choice.get("threads", 0))
    return RuntimeSettings(threads=threads, streams=int(choice.get("streams", threads or cores())))


def usual_widths(piece: Piece, features: Sequence[Features], bytes_each: int) -> tuple[int, ...]:
    """Widths that deserve a graph of their own: usual ones, of a text model that is small.

    Args:
        piece: with the network.
        features: of training rows.
        bytes_each: of a weight in the form.
    """
    from modelwright.encoders.batches import length_of, width_of

    layers: Any = piece.model.network.backbone.modules()
    encoder: Any = piece.model.encoder
    weights = sum(m.weight.numel() for m in layers if type(m).__name__ == "Linear")
    if piece.model.task.modality != "text" or weights * bytes_each > SMALL_BYTES:
        return ()
    longest = encoder.settings.max_tokens
    counts = Counter(width_of(length_of(feature), FEW_WIDTHS) for feature in features)
    most = counts.most_common(MOST_WIDTHS)
    usual = [width for width, n in most if n >= USUAL * len(features) and width <= longest]
    return tuple(sorted(usual))


def fresh(material: Material) -> Path:
    """An empty folder for variants in the material's scratch."""
    folder = material.folder / "form"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def openvino_form(piece: Piece, form: str, choice: Mapping[str, Any], material: Material) -> Piece:
    """Write a form that needs no training rows."""
    from modelwright.formats import _openvino

    variants = fresh(material)
    graph = _openvino.convert(piece.model)
    draft = _openvino.write_form(graph, form, variants, settings_of(choice))
    return formed(piece, variants / draft.name, draft)


def static_form(
    piece: Piece,
    choice: Mapping[str, Any],
    material: Material,
    rows: int,
    embeddings: Literal[8, 4] = 8,
) -> Piece:
    """Calibrate on some training rows and write static int8.

    Args:
        piece: with the network.
        choice: `threads`, `streams`, `widths`.
        material: with the training rows.
        rows: to calibrate on.
        embeddings: bits of the embedding tables.
    """
    from modelwright.formats import _openvino
    from modelwright.formats._embeddings import slim_embeddings

    features = calibration(piece, material, rows)
    graph = _openvino.quantize(_openvino.convert(piece.model), piece.model, features)
    name = "openvino-int8" if embeddings == 8 else "openvino-int8-emb4"
    draft = Draft(name, "openvino", "int8", exact=False)
    folder = fresh(material) / draft.name
    found = kernels()
    rest = "f32" if found.bf16 == "none" else "bf16"
    widths = tuple(choice.get("widths", usual_widths(piece, features, bytes_each=1)))
    settings = replace(settings_of(choice), inference_precision=rest, widths=widths)
    _openvino.save(slim_embeddings(graph, embeddings), folder, settings)
    return formed(piece, folder, draft, calibration_rows=len(features), kernels=asdict(found))


def formed(piece: Piece, folder: Path, draft: Draft, **facts: Any) -> Piece:
    """The piece with its form, and how many attention layers run fused in it."""
    from modelwright.formats import _onnx, _openvino

    if draft.engine == "openvino":
        fused = _openvino.fusions(folder, piece.model, integers=draft.precision == "int8")
    else:
        layers = _openvino.attention_layers(piece.model)
        fused = {"attention": _onnx.fused_attention(folder / "model.onnx"), "layers": layers}
    return Piece(piece.model, Form(folder, draft), {"fusions": fused, **facts})


def calibration(piece: Piece, material: Material, rows: int) -> list[Features]:
    """Features of some training rows, drawn by the seed."""
    task, encoder = piece.model.task, piece.model.encoder
    wanted = min(rows, len(material.rows))
    chosen = sorted(random.Random(material.seed).sample(range(len(material.rows)), wanted))
    return task.encode([task.example(material.rows[i]) for i in chosen], encoder)
