"""The packaging stage: see the package's docstring for what goes in and out."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from modelwright import plugs
from modelwright.artifacts.bundle import SCHEMA, seal_bundle
from modelwright.artifacts.dataset import Dataset
from modelwright.artifacts.store import now
from modelwright.engines._bundle import Variant, open_variant
from modelwright.errors import GateError
from modelwright.formats import Draft
from modelwright.metrics.evidence import ClassEvidence
from modelwright.models.checkpoint import TrainedModel, open_checkpoint
from modelwright.package.card import write_card
from modelwright.package.proving import (
    Reference,
    disagreement,
    parity,
    quality,
    speed,
    vector_parity,
)
from modelwright.package.reference import write_reference
from modelwright.recipe.schema import Package
from modelwright.runtime.files import read_json, write_text
from modelwright.runtime.progress import track
from modelwright.tasks import store_task

MOST_ROWS = 10_000
SCORE_TOLERANCE = 0.02


@dataclass(frozen=True)
class PackageRequest:
    """What the stage needs.

    Attributes:
        name: of the bundle.
        package: the recipe's section.
        checkpoint: its folder.
        dataset: real rows to prove on.
        slo: the recipe's promises, kept for serving.
        lineage: digests of recipe, data, code, environment and parents.
        seed: of the intervals.
        folder: empty folder for the bundle.
        compressed: the compression stage's artifact, where there is one.
        monitor: the recipe's section, kept for monitoring.
        sketch: what monitoring keeps of rows, from the default variant, the rows as users send them
            and [N] whether it answers each right (None where that cannot be said).
    """

    name: str
    package: Package
    checkpoint: Path
    dataset: Dataset
    slo: dict[str, Any]
    lineage: dict[str, Any]
    seed: int
    folder: Path
    compressed: Path | None = None
    monitor: dict[str, Any] | None = None
    sketch: Callable[[Variant, Sequence[Any], np.ndarray | None], dict[str, Any]] | None = None


@dataclass(frozen=True)
class Written:
    """A variant that was written: its draft, the network in it, and that network's answers."""

    draft: Draft
    model: TrainedModel
    reference: Reference


def run(request: PackageRequest) -> dict[str, Any]:
    """Write the bundle and return its manifest.

    Raises:
        GateError: MW-501 when an exact variant disagrees with the trained form.
    """
    model = open_checkpoint(request.checkpoint)
    training = read_json(request.checkpoint / "training.json")
    split = "test" if request.dataset.info.rows.get("test") else "validation"
    reference = _reference(model, request.dataset, split)
    base_evidence = reference.evidence(reference.logits)
    trained = quality(base_evidence, split, request.seed)
    written = _write_variants(request, model, reference)
    golden = _golden_rows(request, reference)
    kept, left_out, answers = _prove(request, written, trained, golden)
    default = _default(request, kept)
    _write_encoders(request, written, kept, default["name"])
    _write_golden(request, [reference.inputs[i] for i in golden], answers, default["name"])
    write_reference(request.folder / "reference", request.dataset, reference, base_evidence)
    _write_sketches(request, written, default)
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "name": request.name,
        "version": "",
        "task": model.task.name,
        "created": now(),
        "base": training["base"],
        "labels": list(model.task.spec.labels),
        "input": _with_columns(model.task.input_schema(), request.dataset),
        "output": model.task.output_schema(),
        "limits": _limits(model),
        "task_spec": store_task(model.task),
        "quality": default["quality"],
        "trained_quality": trained,
        "variants": kept,
        "left_out": left_out,
        "default": default["name"],
        "serve": request.slo,
        "monitor": request.monitor,
        "compression": _compression(request),
        "lineage": request.lineage,
        "training": {name: training[name] for name in ("method", "settings", "best", "seconds")},
    }
    write_card(request.folder, manifest, request.dataset.info)
    return seal_bundle(request.folder, manifest)


def _write_sketches(
    request: PackageRequest, written: Sequence[Written], default: dict[str, Any]
) -> None:
    """What the rows were like and what the default variant made of them, for monitoring."""
    if request.sketch is None:
        return
    one = next(one for one in written if one.draft.name == default["name"])
    rows = 0 if one.draft.batch_invariant else 1
    folder = request.folder / "variants" / one.draft.name
    variant = open_variant(folder, one.draft.engine, one.model.task, one.model.encoder, rows=rows)
    evidence = one.reference.evidence(variant.logits(one.reference.features))
    right = evidence.correct() if isinstance(evidence, ClassEvidence) else None
    told = request.sketch(variant, one.reference.inputs, right)
    variant.engine.close()
    text = json.dumps({**told, "variant": one.draft.name}, ensure_ascii=False)
    write_text(request.folder / "reference" / "sketches.json", text)


def _reference(model: TrainedModel, dataset: Dataset, split: str) -> Reference:
    rows = dataset.table(split).slice(0, MOST_ROWS).to_pylist()
    inputs = [model.task.example(row) for row in rows]
    features = model.task.encode(inputs, model.encoder)
    return Reference(model.task, rows, inputs, features, model.logits(features))


def _write_variants(
    request: PackageRequest, model: TrainedModel, reference: Reference
) -> list[Written]:
    """The uncompressed forms, and the chosen compressed one; beside it only exact ones are kept."""
    folder = request.folder / "variants"
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Written] = []
    for part in request.package.formats:
        plug = plugs.load("format", part.name)
        for draft in plug.cls(plug.config(**part.options)).write(model, folder):
            if request.compressed is None or draft.exact:
                written.append(Written(draft, model, reference))
            else:
                shutil.rmtree(folder / draft.name)
    if request.compressed is not None:
        names = {one.draft.name for one in written}
        written.append(_copy_compressed(request, request.compressed, folder, names))
    return written


def _copy_compressed(
    request: PackageRequest, source: Path, folder: Path, taken: set[str]
) -> Written:
    """The chosen form as a variant; its name says `small` where an uncompressed one has it."""
    draft = Draft(**read_json(source / "form.json"))
    if draft.name in taken:
        draft = replace(draft, name=f"{draft.name}-small")
    shutil.copytree(source / "form", folder / draft.name)
    if (source / "proof").is_dir():
        shutil.copytree(source / "proof", request.folder / "proof")
    small = open_checkpoint(source / "checkpoint")
    split = "test" if request.dataset.info.rows.get("test") else "validation"
    return Written(draft, small, _reference(small, request.dataset, split))


def _write_encoders(
    request: PackageRequest,
    written: Sequence[Written],
    kept: Sequence[dict[str, Any]],
    default: str,
) -> None:
    """The default variant's encoder in the bundle's root, others' in their variant's folder."""
    models = {one.draft.name: one.model for one in written}
    name = "processor" if models[default].task.modality == "image" else "tokenizer"
    models[default].encoder.save(request.folder / name)
    for entry in kept:
        if models[entry["name"]] is not models[default]:
            folder = request.folder / "variants" / entry["name"]
            models[entry["name"]].encoder.save(folder / name)
            entry["digest"] = _digest(folder)


def _default(request: PackageRequest, kept: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The compressed form, which comes last and was chosen already; else the fastest."""
    return kept[-1] if request.compressed is not None else _fastest(kept)


def _compression(request: PackageRequest) -> dict[str, Any] | None:
    """What the bundle tells of the search: the points of the front, and the proof."""
    if request.compressed is None:
        return None
    told = read_json(request.compressed / "compression.json")
    points = [p for p in told["points"] if p["pareto"] or p["id"] == told["chosen"]]
    return {**told, "points": points}


def _prove(
    request: PackageRequest,
    written: Sequence[Written],
    trained: dict[str, Any],
    golden: Sequence[int],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, list[Any]]]:
    kept: list[dict[str, Any]] = []
    left_out: list[dict[str, Any]] = []
    answers: dict[str, list[Any]] = {}
    for one in track(list(written), "proving variants", len(written)):
        draft, reference = one.draft, one.reference
        folder = request.folder / "variants" / draft.name
        rows = 0 if draft.batch_invariant else 1
        variant = open_variant(folder, draft.engine, one.model.task, one.model.encoder, rows=rows)
        found, logits = parity(variant, reference)
        found |= vector_parity(variant, one.model, reference)
        if why := disagreement(draft, found):
            raise GateError(
                "MW-501",
                f"the variant {draft.name} {why} ({found['rows']} test rows)",
                expected="the packaged form to answer as the trained form does",
                fix="leave its format out of package.formats, and report it",
            )
        entry = _entry(request, one, found, logits, trained)
        chosen = request.compressed is not None and one is written[-1]
        if not draft.exact and not chosen and entry["drop_points"] > request.package.max_drop:
            why = (
                f"loses {entry['drop_points']:.2f} points of {trained['main']}, "
                f"{request.package.max_drop} allowed"
            )
            left_out.append({"name": draft.name, "reason": why, "parity": found})
            shutil.rmtree(folder)
            continue
        answers[draft.name] = [variant.predict([reference.inputs[i]])[0] for i in golden]
        entry["speed"] = speed(variant, reference.features)
        entry["digest"] = _digest(folder)
        kept.append(entry)
        variant.engine.close()
    return kept, left_out, answers


def _entry(
    request: PackageRequest,
    one: Written,
    found: dict[str, Any],
    logits: Sequence[np.ndarray],
    trained: dict[str, Any],
) -> dict[str, Any]:
    """A variant as bundle.json has it, without speed and digest."""
    draft, folder = one.draft, request.folder / "variants" / one.draft.name
    measured = quality(one.reference.evidence(logits), trained["split"], request.seed)
    return {
        "name": draft.name,
        "engine": draft.engine,
        "precision": draft.precision,
        "batch_invariant": draft.batch_invariant,
        "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        "parity": found,
        "quality": measured,
        "drop_points": round(_points_lost(trained, measured), 3),
    }


def _points_lost(trained: dict[str, Any], measured: dict[str, Any]) -> float:
    main = trained["main"]
    return 100 * (trained["metrics"][main]["value"] - measured["metrics"][main]["value"])


def _digest(folder: Path) -> str:
    from modelwright.artifacts.hashing import digest_files, digest_json

    return digest_json(digest_files(folder))


def _fastest(variants: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The variant with the lowest median latency of one median-length row."""
    return min(variants, key=lambda entry: entry["speed"][0]["p50_ms"])


def _golden_rows(request: PackageRequest, reference: Reference) -> list[int]:
    """Rows spread over the test set."""
    wanted = min(request.package.golden, len(reference.rows))
    return sorted({int(i) for i in np.linspace(0, len(reference.rows) - 1, wanted)})


def _write_golden(
    request: PackageRequest, inputs: Sequence[Any], answers: dict[str, list[Any]], default: str
) -> None:
    """Each input with the answer that every variant gave to it alone."""
    lines: list[str] = []
    for place, given in enumerate(inputs):
        shown = base64.b64encode(given).decode() if isinstance(given, bytes) else given
        line = {
            "input": shown,
            "output": answers[default][place],
            "outputs": {name: answers[name][place] for name in answers},
            "tolerance": {"score": SCORE_TOLERANCE},
        }
        lines.append(json.dumps(line, ensure_ascii=False))
    write_text(request.folder / "golden.jsonl", "\n".join(lines) + "\n")


def _limits(model: TrainedModel) -> dict[str, Any]:
    settings = model.encoder.settings
    if model.task.modality == "image":
        return {"image_size": list(settings.size), "channels": settings.channels}  # type: ignore[union-attr]
    return {"max_tokens": settings.max_tokens}  # type: ignore[union-attr]


def _with_columns(schema: dict[str, Any], dataset: Dataset) -> dict[str, Any]:
    """The input schema, with the training data's column names for `mw predict`."""
    return {**schema, "x-columns": dataset.info.columns}
