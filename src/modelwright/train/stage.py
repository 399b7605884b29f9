"""The training stage: see the package's docstring for what goes in and out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modelwright import plugs
from modelwright.artifacts.dataset import Dataset
from modelwright.artifacts.hashing import digest_json
from modelwright.models.bases import Base, resolve
from modelwright.models.checkpoint import TrainedModel
from modelwright.models.network import total, trainable
from modelwright.models.preparing import Shape, prepare
from modelwright.recipe.derive import Derived
from modelwright.recipe.schema import Effort, Finetune, Part
from modelwright.runtime.device import accelerator, fastest_precision, stop_requests
from modelwright.runtime.files import read_json, write_json
from modelwright.runtime.progress import bar
from modelwright.tasks import LossSettings, Row, Task
from modelwright.train.augmenting import Augmented
from modelwright.train.batches import LengthBatches
from modelwright.train.features import FeatureTable, encode_table
from modelwright.train.loop import Loop, fit
from modelwright.train.settings import Facts, Settings, derive
from modelwright.train.suspicious import MOST_ROWS, describe, find_suspicious
from modelwright.train.vocabulary import CompactVocabulary

MOST_VALIDATION = 5_000
SMALL_IMAGE = 48


@dataclass(frozen=True)
class TrainRequest:
    """What the stage needs.

    Attributes:
        finetune: the recipe's section.
        task: the task's name.
        options: the task's options.
        base: the recipe's `base`.
        effort: the dial.
        seed: of every random choice.
        dataset: the rows.
        augment: augmenters of training examples; None derives them.
        recipe_folder: what paths are relative to.
        folder: empty folder for the checkpoint.
        scratch: folder that survives a kill.
        proof_follows: whether a later stage proves something of the trained model on validation
            rows; those take no part in choosing its epoch.
    """

    finetune: Finetune
    task: str
    options: dict[str, Any]
    base: str
    effort: Effort
    seed: int
    dataset: Dataset
    augment: list[Part] | None
    recipe_folder: Path
    folder: Path
    scratch: Path
    proof_follows: bool = False


@dataclass
class Prepared:
    """Everything that is decided before the first step."""

    base: Base
    model: TrainedModel
    table: FeatureTable
    settings: Settings
    shape: Shape
    derived: list[Derived] = field(default_factory=list)


def run(request: TrainRequest) -> dict[str, Any]:
    """Train and write the checkpoint; returns what `training.json` holds."""
    started = time.perf_counter()
    prepared = prepare_training(request)
    suspicious = _suspicious(request, prepared)
    model = prepared.model
    method = method_of(request)
    method.prepare(model.network)
    counts = {"parameters": total(model.network), "trained_parameters": trainable(model.network)}
    outcome = _train(request, prepared)
    method.finish(model.network)
    seconds = time.perf_counter() - started
    training = {
        **outcome,
        **counts,
        "method": request.finetune.method.short(),
        "base": {
            "id": prepared.base.id,
            "licence": prepared.base.licence,
            "digest": prepared.base.digest,
        },
        "settings": prepared.settings.as_dict(),
        "shape": asdict(prepared.shape),
        "precision": prepared.settings.precision,
        "epochs": prepared.settings.epochs,
        "seconds": round(seconds, 2),
        "derived": [asdict(entry) for entry in prepared.derived],
        "suspicious": suspicious,
    }
    model.save(request.folder)
    write_json(request.folder / "training.json", training)
    return training


def prepare_training(request: TrainRequest, rows: int | None = None) -> Prepared:
    """Resolve the base, encode the rows (cached in scratch), decide the settings.

    Args:
        request: see `TrainRequest`.
        rows: training rows to decide for, when the dataset is only a sample of them.
    """
    torch.manual_seed(request.seed)
    cls = plugs.load("task", request.task).cls
    info = request.dataset.info
    spec = cls.learn_spec(
        request.dataset.table("train"), language=info.language, options=request.options
    )
    task: Task = cls(spec)
    base = resolve(request.base, task.modality, request.recipe_folder)
    derived: list[Derived] = []
    shape = _shape(request, task, base, derived)
    if request.augment is None:
        parts = [part.short() for part in augmenters_of(request, task)]
        derived.append(Derived("data.augment", parts, f"{task.modality} training"))
    model = prepare(base, task, shape, _texts(request.dataset))
    table = _encoded(request, base, task, shape, model)
    facts = _facts(request, base, model, table, rows or len(table))
    settings = _settings(request, facts, derived)
    return Prepared(base, model, table, settings, shape, derived)


def _shape(request: TrainRequest, task: Task, base: Base, derived: list[Derived]) -> Shape:
    finetune, facts = request.finetune, request.dataset.info.facts
    size = finetune.image_size or 0
    if task.modality == "image" and not size and base.folder is None:
        size = default_image_size(facts)
        derived.append(Derived("finetune.image_size", size, "size of the images"))
    return Shape(
        max_tokens=finetune.max_tokens or (512 if request.effort == "thorough" else 256),
        dropout=finetune.dropout,
        pooling=finetune.pooling,
        image_size=size,
        channels=1 if facts.get("image_mode") == "L" else 3,
        vocabulary=int(min(8000, max(500, request.dataset.info.rows.get("train", 0) * 2))),
        normal=request.dataset.info.normal,
    )


def default_image_size(facts: dict[str, Any]) -> int:
    """Side for training from scratch: small images are enlarged for the stem, large ones cut down."""
    side = int(max(facts.get("image_height", 64), facts.get("image_width", 64)))
    if side <= SMALL_IMAGE:
        return 2 * side
    return min(side, 128)


def _encoded(
    request: TrainRequest, base: Base, task: Task, shape: Shape, model: TrainedModel
) -> FeatureTable:
    """Features of the training rows, encoded once and memory-mapped."""
    folder = request.scratch / f"features-{_feature_key(request, base, shape)}"
    if not (folder / "columns.json").is_file():
        total_rows = request.dataset.info.rows["train"]
        rows = _rows(request.dataset, "train")
        encode_table(rows, total_rows, task, model.encoder, "encoding").save(folder)
    return FeatureTable.open(folder)


def _feature_key(request: TrainRequest, base: Base, shape: Shape) -> str:
    return digest_json([request.dataset.folder.name, base.digest, asdict(shape)])[:12]


def _facts(
    request: TrainRequest, base: Base, model: TrainedModel, table: FeatureTable, rows: int
) -> Facts:
    method = plugs.load("method", request.finetune.method.name).cls
    task = model.task
    return Facts(
        effort=request.effort,
        modality=task.modality,
        rows=rows,
        classes=len(task.spec.labels),
        width=model.network.head.in_features,
        scratch=base.folder is None,
        long_tokens=int(np.quantile(table.lengths, 0.995)) if len(table) else 0,
        method_rate=method.learning_rate,
        method_epochs=method.epochs_factor,
        token_head=task.head == "token",
    )


def settings_like(training: dict[str, Any], model: TrainedModel, rows: int, seed: int) -> Settings:
    """Settings for training all of a model further: those it was trained with, or what suits it.

    The rates of `head` and `lora` are far too high for a whole network; of those methods only how
    labels count is taken over.

    Args:
        training: its `training.json`; may be empty.
        model: the trained model.
        rows: training rows.
        seed: of every random choice.
    """
    known = training.get("settings") or {}
    if known and training.get("method") == "full":
        return Settings(**{**known, "seed": seed})
    labels = {name: known[name] for name in ("label_smoothing", "class_weights") if name in known}
    method = plugs.load("method", "full").cls
    facts = Facts(
        effort="standard",
        modality=model.task.modality,
        rows=rows,
        classes=len(model.task.spec.labels),
        width=model.network.head.in_features,
        scratch=False,
        long_tokens=0,
        method_rate=method.learning_rate,
        method_epochs=method.epochs_factor,
        token_head=model.task.head == "token",
    )
    return derive(Finetune(**labels), facts, fastest_precision(), seed)[0]


def _settings(request: TrainRequest, facts: Facts, derived: list[Derived]) -> Settings:
    """Decide the settings once; a resumed run reads its precision back."""
    path = request.scratch / "settings.json"
    pinned = request.finetune.precision
    precision = read_json(path)["precision"] if path.is_file() else None
    precision = precision or (fastest_precision() if pinned == "auto" else pinned)
    settings, found = derive(request.finetune, facts, precision, request.seed)
    derived.extend(found)
    write_json(path, settings.as_dict())
    return settings


def _train(request: TrainRequest, prepared: Prepared) -> dict[str, Any]:
    loop, compact = make_loop(request, prepared)
    torch.manual_seed(prepared.settings.seed)
    started = time.perf_counter()
    with stop_requests() as stop, bar("training", len(loop.batches)) as shown:
        outcome = fit(loop, shown, stop)
    seconds = time.perf_counter() - started
    outcome["loop_seconds"] = round(seconds, 2)
    rows = len(prepared.table) * prepared.settings.epochs
    outcome["rows_per_second"] = round(rows / seconds, 1)
    if compact is not None:
        compact.expand()
    return outcome


def make_loop(
    request: TrainRequest, prepared: Prepared, most_validation: int = MOST_VALIDATION
) -> tuple[Loop, CompactVocabulary | None]:
    """The training run that was prepared, and what was done to its vocabulary.

    Args:
        most_validation: validation rows scored after an epoch.
    """
    model, table, settings = prepared.model, prepared.table, prepared.settings
    compact = compact_vocabulary(request, model, table)
    validation = validation_rows(request, most_validation)
    evaluate = _evaluator(validation, model, compact)
    if compact is not None:
        compact.shrink()
        table = table.map_ids(compact.table)
    augment = augmenters_of(request, model.task)
    loop = Loop(
        model=model,
        table=Augmented(table, augment, settings.seed) if augment else table,
        batches=LengthBatches(
            table.lengths,
            settings.batch_rows,
            settings.batch_tokens,
            settings.epochs,
            settings.seed,
        ),
        settings=settings,
        loss=LossSettings(
            settings.label_smoothing,
            class_weights(_rows(request.dataset, "train"), model.task, settings),
        ),
        evaluate=evaluate,
        validation_rows=len(validation),
        folder=request.scratch,
        report_to=list(request.finetune.report_to),
        log_folder=request.folder / "logs",
    )
    return loop, compact


def validation_rows(request: TrainRequest, most: int = MOST_VALIDATION) -> list[Row]:
    """The rows that choose the epoch.

    Without those of a proof that follows: the luck of the best of several epochs would count
    against every smaller model that is held against it there.
    """
    if request.proof_follows:
        return request.dataset.tuning_and_certification(request.seed)[0][:most]
    return list(islice(_rows(request.dataset, "validation"), most))


def augmenters_of(request: TrainRequest, task: Task) -> list[Part]:
    """The recipe's augmenters; images are shifted when it names none."""
    if request.augment is not None:
        return request.augment
    return [Part(name="random-crop")] if task.modality == "image" else []


def compact_vocabulary(
    request: TrainRequest, model: TrainedModel, table: FeatureTable
) -> CompactVocabulary | None:
    """The small embedding table that training works with, or None where it does not apply."""
    if model.task.modality != "text" or request.finetune.method.name != "full":
        return None
    pad = model.encoder.settings.pad_id  # type: ignore[union-attr]
    rows = validation_rows(request)
    features = model.task.encode([model.task.example(row) for row in rows], model.encoder)
    ids = [np.asarray(feature["input_ids"]) for feature in features]
    # Every id up to the padding's is kept: padding, and positions counted from it, stay right.
    used = np.unique(np.concatenate([table.used_ids(), np.arange(pad + 1), *ids]))
    return CompactVocabulary(model.network.backbone, used)


def _evaluator(
    rows: list[Row], model: TrainedModel, compact: CompactVocabulary | None
) -> Callable[[], dict[str, float]]:
    """A function that scores the rows with the network as it is now."""
    task = model.task
    features = task.encode([task.example(row) for row in rows], model.encoder)
    if compact is not None:
        for feature in features:
            feature["input_ids"] = compact.table[np.asarray(feature["input_ids"])]

    def evaluate() -> dict[str, float]:
        return task.evidence(rows, model.logits(features), features).scores()

    return evaluate


def class_weights(rows: Iterable[Row], task: Task, settings: Settings) -> tuple[float, ...] | None:
    """Weights inverse to class frequency, mean 1 over rows; of several labels a row, negatives
    over positives of each. None where the settings ask for none.

    Args:
        rows: canonical training rows.
        task: with its labels.
        settings: `class_weights` decides.
    """
    if settings.class_weights == "none" or not task.spec.labels:
        return None
    counts, total_rows = dict.fromkeys(task.spec.labels, 0), 0
    for row in rows:
        total_rows += 1
        for label in row["tags"] if task.head == "token" else task.row_labels(row):
            counts[label] = counts.get(label, 0) + 1
    if task.spec.multi_label:
        return tuple(
            max(1, total_rows - counts[name]) / max(1, counts[name]) for name in task.spec.labels
        )
    seen = sum(counts.values())
    return tuple(seen / (len(counts) * max(1, counts[label])) for label in task.spec.labels)


def _suspicious(request: TrainRequest, prepared: Prepared) -> list[dict[str, Any]]:
    """Label issues among the training rows, from the base's vectors before it learns the labels."""
    task, table = prepared.model.task, prepared.table
    usable = task.head == "sequence" and not task.spec.multi_label and len(task.spec.labels) >= 2
    if not usable or prepared.base.folder is None or not 50 <= len(table) <= MOST_ROWS:
        return []
    path = request.scratch / "suspicious.json"
    if not path.is_file():
        vectors = _vectors(prepared.model, table)
        labels = np.array([int(table[i]["targets"]) for i in range(len(table))])
        found = find_suspicious(vectors, labels, len(task.spec.labels))
        write_json(path, describe(found, request.dataset, task.spec.labels))
    return list(read_json(path))


def _vectors(model: TrainedModel, table: FeatureTable) -> np.ndarray:
    """One vector a row, from the network as it is; it is back on the CPU afterwards."""
    from modelwright.encoders.batches import batches_by_length

    features = table.select(range(len(table)))
    found = np.zeros((len(features), model.network.head.in_features), dtype=np.float32)
    device = accelerator()
    model.network.to(device).eval()
    with torch.inference_mode(), bar("checking labels", len(features)) as shown:
        for index in batches_by_length(features, 8192):
            arrays = model.collate([features[i] for i in index])
            inputs = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
            found[index] = model.network.embed(**inputs).float().cpu().numpy()
            shown.advance(len(index))
    model.network.to("cpu")
    return found


def method_of(request: TrainRequest) -> Any:
    """The method plug's instance with the recipe's options."""
    part = request.finetune.method
    plug = plugs.load("method", part.name)
    return plug.cls(plug.config(**part.options))


def _rows(dataset: Dataset, split: str) -> Iterator[Row]:
    for batch in dataset.table(split).to_batches(max_chunksize=2048):
        yield from batch.to_pylist()


def _texts(dataset: Dataset) -> Iterator[str]:
    """All training text, for learning a tokenizer."""
    for row in _rows(dataset, "train"):
        for name in ("text", "text_pair"):
            if row.get(name):
                yield row[name]
