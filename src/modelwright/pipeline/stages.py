"""The stages of a run, each with its key and the call that makes its artifact.

A stage's key holds everything that determines its artifact: its part of the recipe, the keys of
what it reads, the versions of the parts it uses and of this package. Equal keys mean the artifact
in the store is used again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelwright import __version__, plugs
from modelwright.artifacts.dataset import Dataset
from modelwright.artifacts.hashing import digest_json
from modelwright.artifacts.store import Manifest, Store, make_key
from modelwright.errors import GateError
from modelwright.recipe.derive import Derived, apply, derive_static, plain
from modelwright.recipe.schema import Part, Recipe
from modelwright.runtime.files import read_json
from modelwright.runtime.libraries import versions
from modelwright.runtime.machine import describe

NAMES = ("data", "finetune", "compress", "evaluate", "package")
KINDS = {
    "data": "dataset", "finetune": "checkpoint", "compress": "compressed", "evaluate": "report",
    "package": "bundle",
}  # fmt: skip
LIBRARIES = (
    "modelwright", "torch", "transformers", "tokenizers", "numpy", "pyarrow", "onnx",
    "onnxruntime", "openvino", "nncf", "scikit-learn", "peft", "accelerate",
)  # fmt: skip
COMPRESSORS = ("torch", "openvino", "nncf", "onnxruntime", "onnx", "optuna")


def names_of(recipe: Recipe, until: str = NAMES[-1]) -> tuple[str, ...]:
    """The stages of a recipe, in order, up to one of them."""
    skipped = set()
    if recipe.compress is None:
        skipped.add("compress")
    elif recipe.compress.model is not None:
        skipped.add("finetune")
    return tuple(name for name in NAMES[: NAMES.index(until) + 1] if name not in skipped)


@dataclass
class Work:
    """A run in progress: the recipe as far as it is decided, and the keys found so far.

    Attributes:
        recipe: derived values are filled in as stages find them.
        folder: the recipe's folder.
        store: where artifacts are.
        derived: what was derived, with reasons.
        keys: artifact key by stage.
        run_folder: where the ledger and the report go when a gate stops the run.
    """

    recipe: Recipe
    folder: Path
    store: Store
    derived: list[Derived] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    run_folder: Path | None = None

    def path(self, stage: str) -> Path:
        """The artifact of a finished stage."""
        return self.store.path(self.keys[stage])

    def derive(self, found: list[Derived]) -> None:
        """Fill derived values in."""
        new = [item for item in found if item.path not in {old.path for old in self.derived}]
        self.derived.extend(new)
        self.recipe = apply(self.recipe, new)

    def derive_from(self, language: str) -> None:
        """Fill in what follows from the text's language."""
        self.derive(derive_static(self.recipe, language=language))


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        key: determinants of the artifact, from the work so far.
        make: fills an empty folder; `scratch` survives a kill.
        after: what a finished artifact tells the work (derived values).
    """

    key: Callable[[Work], dict[str, Any]]
    make: Callable[[Work, Path, Path], None]
    after: Callable[[Work], None]


def key_of(name: str, work: Work) -> str:
    """The artifact's key; the stages before must be done."""
    shared = {"version": __version__, "seed": work.recipe.seed, "effort": work.recipe.effort}
    return make_key(KINDS[name], {**shared, **STAGES[name].key(work)})


def manifest_of(name: str, work: Work) -> Manifest:
    """The manifest of an artifact about to be made."""
    before = names_of(work.recipe, name)[:-1]
    return Manifest(
        kind=KINDS[name],
        key=work.keys[name],
        inputs={stage: work.keys[stage] for stage in before},
        config=_section(work, name),
        plugs=_versions(work, name),
        libraries=versions(*LIBRARIES),
        seed=work.recipe.seed,
    )


def _section(work: Work, name: str) -> dict[str, Any]:
    return plain(getattr(work.recipe, name))


def _versions(work: Work, name: str) -> dict[str, int]:
    """Versions of the parts that a stage uses."""
    recipe = work.recipe
    parts = {
        "data": [("task", recipe.task), *(("cleaner", part) for part in recipe.data.clean or [])],
        "finetune": [("task", recipe.task), ("method", recipe.finetune.method)],
        "compress": [("pass", Part(name=part)) for part in plugs.names("pass")],
        "evaluate": [("suite", part) for part in recipe.evaluate.suites or []],
        "package": [("format", part) for part in recipe.package.formats],
    }[name]
    return {f"{kind}:{part.name}": plugs.load(kind, part.name).version for kind, part in parts}


# -- data --------------------------------------------------------------------------------------


def task_options(recipe: Recipe) -> dict[str, Any]:
    """The task's options with their defaults."""
    plug = plugs.load("task", recipe.task.name)
    return plug.config(**recipe.task.options).model_dump()


def data_request(work: Work, output: Path) -> Any:
    """The data stage's request."""
    from modelwright.data import DataRequest

    return DataRequest(
        data=work.recipe.data,
        task=plugs.load("task", work.recipe.task.name).cls,
        folder=work.folder,
        output=output,
        options=task_options(work.recipe),
        seed=work.recipe.seed,
        effort=work.recipe.effort,
        keep_ledger=work.run_folder,
        prove=_proves(work),
    )


def _proves(work: Work) -> bool:
    return work.recipe.compress is not None


def _data_key(work: Work) -> dict[str, Any]:
    from modelwright.data import default_cleaners
    from modelwright.data.inputs import open_inputs

    task = plugs.load("task", work.recipe.task.name).cls
    if work.recipe.data.clean is None:
        parts = default_cleaners(task, work.recipe.effort)
        work.derive([Derived("data.clean", [part.short() for part in parts], "suits the task")])
    inputs = open_inputs(work.recipe.data, task, work.folder, None)
    section = _section(work, "data")
    section.pop("augment")  # varies training examples, not the rows
    return {
        "section": section,
        **({"prove": True} if _proves(work) else {}),
        "task": [work.recipe.task.name, task_options(work.recipe)],
        "content": [[entry.split, entry.source.fingerprint()] for entry in inputs],
        "plugs": _versions(work, "data"),
    }


def _make_data(work: Work, folder: Path, scratch: Path) -> None:
    from modelwright import data

    data.run(data_request(work, folder))


def _after_data(work: Work) -> None:
    work.derive_from(Dataset.open(work.path("data")).info.language)


# -- finetune ----------------------------------------------------------------------------------


def train_request(work: Work, folder: Path, scratch: Path, dataset: Dataset) -> Any:
    """The training stage's request."""
    from modelwright.train.stage import TrainRequest

    return TrainRequest(
        finetune=work.recipe.finetune,
        task=work.recipe.task.name,
        options={**task_options(work.recipe), "multi_label": dataset.info.multi_label},
        base=str(work.recipe.base),
        effort=work.recipe.effort,
        seed=work.recipe.seed,
        dataset=dataset,
        augment=work.recipe.data.augment,
        recipe_folder=work.folder,
        folder=folder,
        scratch=scratch,
        proof_follows=_proves(work),
    )


def _finetune_key(work: Work) -> dict[str, Any]:
    from modelwright.models.bases import resolve

    modality = plugs.load("task", work.recipe.task.name).cls.modality
    base = resolve(str(work.recipe.base), modality, work.folder)
    section = _section(work, "finetune")
    derived = {item.path for item in work.derived}
    pinned = {name: value for name, value in section.items() if f"finetune.{name}" not in derived}
    proof = {"proof_follows": True} if _proves(work) else {}
    return {
        **proof,
        "data": work.keys["data"],
        "section": pinned,
        "augment": None if "data.augment" in derived else _section(work, "data")["augment"],
        "base": [base.id, base.digest],
        "plugs": _versions(work, "finetune"),
        "torch": versions("torch", "transformers"),
    }


def _make_finetune(work: Work, folder: Path, scratch: Path) -> None:
    from modelwright.train.stage import run

    run(train_request(work, folder, scratch, Dataset.open(work.path("data"))))


def _after_finetune(work: Work) -> None:
    training = read_json(work.path("finetune") / "training.json")
    work.derive([Derived(**item) for item in training["derived"]])


# -- compress ----------------------------------------------------------------------------------


def teacher_folder(work: Work) -> Path:
    """The checkpoint of the uncompressed model."""
    if "finetune" in work.keys:
        return work.path("finetune")
    return work.path("compress") / "teacher"


def _compress_key(work: Work) -> dict[str, Any]:
    from modelwright.pipeline.compressing import digest_of_model, digest_of_unlabelled

    section = _section(work, "compress")
    for place in ("model", "unlabelled"):  # their content counts
        section.pop(place)
    return {
        "teacher": work.keys.get("finetune") or digest_of_model(work),
        "data": work.keys["data"],
        "section": section,
        "unlabelled": digest_of_unlabelled(work),
        "plugs": _versions(work, "compress"),
        **surroundings(),
    }


def surroundings() -> dict[str, Any]:
    """What decides how fast a form runs, and what it is made of: libraries and machine."""
    machine = {name: describe()[name] for name in ("processor", "flags", "cores")}
    return {"runtime": versions(*COMPRESSORS), "machine": machine}


def _make_compress(work: Work, folder: Path, scratch: Path) -> None:
    from modelwright.pipeline.compressing import compress

    compress(work, folder)


def _after_compress(work: Work) -> None:
    from modelwright.compress.answer import gate_error

    told = read_json(work.path("compress") / "compression.json")
    if told["status"] != "met":
        if work.run_folder is not None:
            source = work.path("compress") / "compression.json"
            shutil.copyfile(source, work.run_folder / "details" / "compression.json")
        raise gate_error(told)


# -- evaluate ----------------------------------------------------------------------------------


def _evaluate_key(work: Work) -> dict[str, Any]:
    return {
        "model": work.keys.get("compress") or work.keys["finetune"],
        "section": _section(work, "evaluate"),
        "plugs": _versions(work, "evaluate"),
    }


def _model_under_test(work: Work) -> Any:
    """What the report judges: the compressed form where there is one, else the trained network."""
    from modelwright.models.checkpoint import open_checkpoint

    if "compress" not in work.keys:
        return open_checkpoint(work.path("finetune"))
    from modelwright.engines._bundle import open_variant

    folder = work.path("compress")
    draft, small = read_json(folder / "form.json"), open_checkpoint(folder / "checkpoint")
    rows = 0 if draft["batch_invariant"] else 1
    return open_variant(folder / "form", draft["engine"], small.task, small.encoder, rows=rows)


def _make_evaluate(work: Work, folder: Path, scratch: Path) -> None:
    from modelwright.evaluate.stage import EvaluateRequest, run

    request = EvaluateRequest(
        suites=list(work.recipe.evaluate.suites or []),
        model=_model_under_test(work),
        dataset=Dataset.open(work.path("data")),
        folder=folder,
        seed=work.recipe.seed,
        limits=dict(work.recipe.evaluate.limits),
    )
    try:
        run(request)
    except GateError:
        if work.run_folder is not None:  # what was measured is shown although it does not pass
            shutil.copyfile(folder / "report.json", work.run_folder / "details" / "report.json")
        raise


# -- package -----------------------------------------------------------------------------------


def _package_key(work: Work) -> dict[str, Any]:
    return {
        "evaluate": work.keys["evaluate"],
        "name": work.recipe.name,
        "section": _section(work, "package"),
        "serve": _section(work, "serve"),
        "monitor": _section(work, "monitor"),
        "plugs": _versions(work, "package"),
        "runtime": versions("onnxruntime", "onnx"),
    }


def _make_package(work: Work, folder: Path, scratch: Path) -> None:
    from functools import partial

    from modelwright.monitor.reference import sketch
    from modelwright.package.stage import PackageRequest, run

    dataset = Dataset.open(work.path("data"))
    before = names_of(work.recipe)[:-1]
    lineage = {
        "recipe": digest_json(plain(work.recipe)),
        "data": work.keys["data"],
        "code": f"modelwright {__version__}",
        "environment": versions(*LIBRARIES),
        "parents": [work.keys[name] for name in before],
    }
    run(
        PackageRequest(
            name=work.recipe.name,
            package=work.recipe.package,
            checkpoint=teacher_folder(work),
            dataset=dataset,
            slo=_section(work, "serve"),
            lineage=lineage,
            seed=work.recipe.seed,
            folder=folder / "bundle",
            compressed=work.path("compress") if "compress" in work.keys else None,
            monitor=_section(work, "monitor"),
            sketch=partial(sketch, training=_training_rows(dataset)),
        )
    )


def _training_rows(dataset: Dataset) -> Iterator[dict[str, Any]]:
    """Read as they are asked for."""
    for batch in dataset.table("train").to_batches(max_chunksize=2048):
        yield from batch.to_pylist()


def _nothing(work: Work) -> None:
    """Evaluation and packaging derive nothing."""


STAGES: dict[str, Stage] = {
    "data": Stage(_data_key, _make_data, _after_data),
    "finetune": Stage(_finetune_key, _make_finetune, _after_finetune),
    "compress": Stage(_compress_key, _make_compress, _after_compress),
    "evaluate": Stage(_evaluate_key, _make_evaluate, _nothing),
    "package": Stage(_package_key, _make_package, _nothing),
}
