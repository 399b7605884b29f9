"""An opened bundle: inputs as users send them to answers as the contract has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from modelwright import plugs
from modelwright.artifacts.bundle import read_bundle
from modelwright.encoders import open_encoder
from modelwright.encoders.batches import batches_by_length, collate, planned_batches, unpad
from modelwright.engines import Engine
from modelwright.engines._schema import Fault, InputCheck
from modelwright.errors import UserError, did_you_mean
from modelwright.runtime.libraries import require_all
from modelwright.tasks import Features, Prediction, Task, restore_task

TOKENIZER = "tokenizer"
"""The folder of a tokenizer, in a bundle and in a variant that does not share the bundle's."""


class Variant:
    """One packaged form, ready to run; the same calls as a TrainedModel's.

    Args:
        task: the task with its labels.
        encoder: the encoder that trained.
        engine: the loaded runtime.
        rows: most rows a batch, 0 for the engine's limit; 1 for a form whose answers depend on
            the batch.
    """

    def __init__(self, task: Task, encoder: Any, engine: Engine, rows: int = 0) -> None:
        self.task, self.encoder, self.engine = task, encoder, engine
        self.limits = replace(engine.limits, rows=rows) if rows else engine.limits

    def run_by(self, engine: Engine) -> None:
        """Take another engine of the same model, from `spread`; the one before is closed."""
        before, self.engine = self.engine, engine
        self.limits = replace(engine.limits, rows=self.limits.rows)
        before.close()

    def encode(self, inputs: Sequence[Any]) -> list[Features]:
        """Inputs to features."""
        return self.task.encode(inputs, self.encoder)

    def logits(self, features: Sequence[Features]) -> list[np.ndarray]:
        """Logits of each feature in order, run in batches of like length."""
        found: list[Any] = [None] * len(features)
        plan = self._plan(features)
        batches = (
            collate([features[i] for i in index], self.encoder, self.limits.multiple)
            for index in plan
        )
        for index, output in zip(plan, self.engine.run_many(batches), strict=True):
            for place, row in zip(index, output, strict=True):
                found[place] = unpad(row, features[place])
        return found

    def run_batch(self, features: Sequence[Features]) -> list[np.ndarray]:
        """Logits of rows of one width by one call of the engine; from several threads at once.

        Who calls keeps to `limits`: `batches.width_of`, `tokens`, `rows`, `alone`, `workers`.
        """
        outputs = self.engine.run(collate(features, self.encoder, self.limits.multiple))
        return [unpad(row, feature) for row, feature in zip(outputs, features, strict=True)]

    @property
    def dimensions(self) -> int:
        """Width of the vectors of inputs; 0 where there are none (see `why_no_vectors`)."""
        return self.engine.dimensions

    def vectors(self, features: Sequence[Features]) -> np.ndarray:
        """[N, D]: what the head reads of each feature, in order; see `embed`."""
        found = np.zeros((len(features), self.dimensions), dtype=np.float32)
        for index in self._plan(features):
            found[index] = self.vector_batch([features[i] for i in index])
        return found

    def vector_batch(self, features: Sequence[Features]) -> np.ndarray:
        """As `run_batch`, but vectors [N, D]."""
        return self.engine.vectors(collate(features, self.encoder, self.limits.multiple))

    def _plan(self, features: Sequence[Features]) -> list[list[int]]:
        limits = self.limits
        if limits.workers == limits.multiple == 1:
            return list(batches_by_length(features, limits.tokens, limits.rows))
        return planned_batches(features, limits)

    def predict(self, inputs: Sequence[Any]) -> list[Prediction]:
        """Answers in order; an empty list for no inputs."""
        if not len(inputs):
            return []
        features = self.encode(inputs)
        return self.task.decode(self.logits(features), features)


def open_variant(
    folder: Path, engine: str, task: Task, encoder: Any, *, rows: int = 0, threads: int = 0
) -> Variant:
    """Load one variant's folder with the engine it was made for.

    Args:
        folder: the variant's; a `tokenizer/` in it is used instead of `encoder`.
        engine: name of the engine plug.
        task: the task with its labels.
        encoder: the bundle's.
        rows: most rows a batch; 0 for the engine's limit.
        threads: 0 for what the variant says, or all cores.
    """
    plug = plugs.load("engine", engine)
    require_all(plug.requires)
    if (folder / TOKENIZER).is_dir():
        encoder = open_encoder(folder / TOKENIZER)
    return Variant(task, encoder, plug.cls(folder, threads), rows)


class Bundle(Variant):
    """A bundle opened for prediction.

    Attributes:
        folder: where it lies.
        manifest: the content of bundle.json.
        variant: the manifest's entry of the variant in use.
    """

    def __init__(
        self, folder: Path, manifest: dict[str, Any], variant: dict[str, Any], opened: Variant
    ) -> None:
        super().__init__(opened.task, opened.encoder, opened.engine, opened.limits.rows)
        self.folder, self.manifest, self.variant = folder, manifest, variant
        self._check = InputCheck(manifest["input"], self.task)

    @classmethod
    def open(
        cls, path: str | Path, variant: str | None = None, threads: int | None = None
    ) -> Bundle:
        """Open a bundle folder.

        Args:
            path: the folder.
            variant: a variant's name; the bundle's default when not given.
            threads: for one batch; all cores when not given.

        Raises:
            UserError: MW-601 no bundle, MW-602 a damaged file, MW-605 no such variant, MW-801 its
                runtime is missing.
        """
        folder = Path(path)
        manifest = read_bundle(folder)
        entry = _choose(manifest, variant)
        try:
            return cls(folder, manifest, entry, _open(folder, manifest, entry, threads or 0))
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                "MW-602",
                f"the variant {entry['name']} cannot be opened: {error}",
                expected="the files as they were packaged",
                fix=f"`mw verify {folder}` names what changed; copy the bundle again",
                file=str(folder),
            ) from error

    def predict(self, inputs: Sequence[Any]) -> list[Prediction]:
        """Answers in order; an empty list for no inputs.

        Raises:
            UserError: MW-606 for one input instead of a list, or for an input that can't be read.
        """
        if isinstance(inputs, (str, bytes, Mapping)):
            raise self._refused("the inputs are one input", "put it in a list: predict([...])")
        try:
            return super().predict(inputs)
        except (AttributeError, KeyError, TypeError) as error:
            for number, item in enumerate(inputs, start=1):
                if (fault := self.fault(item)) is not None:
                    where = f" ({fault.field})" if fault.field else ""
                    seen = f"input {number}{where}: {fault.message}"
                    raise self._refused(seen, "change that input") from error
            raise

    def embed(self, inputs: Sequence[Any]) -> np.ndarray:
        """Vectors [N, D] of length 1, in order: what the encoder makes of inputs, for search or
        comparison.

        Raises:
            UserError: MW-606 for one input instead of a list, or where there are no vectors.
        """
        if isinstance(inputs, (str, bytes, Mapping)):
            raise self._refused("the inputs are one input", "put it in a list: embed([...])")
        if why := why_no_vectors(self):
            raise self._refused(*why)
        return unit(self.vectors(self.encode(inputs)))

    def _refused(self, seen: str, fix: str) -> UserError:
        expected = f"a list of what {self.manifest['name']} reads"
        return UserError("MW-606", seen, expected=expected, fix=fix)

    def fault(self, item: Any, field: str = "") -> Fault | None:
        """Why the model must not see an input, or None; `field` is what the input is called."""
        return self._check.fault(item, field)

    def close(self) -> None:
        """Give the engine's memory back."""
        self.engine.close()


def why_no_vectors(bundle: Any) -> tuple[str, str] | None:
    """Why a bundle gives no vectors, and what to do about it; None where it does."""
    if bundle.dimensions:
        return None
    if bundle.task.head == "token":
        return "the model answers for each word, and makes no vector of an input", "ask another"
    name = bundle.variant.get("name", "")
    return (
        f"the variant {name} was packaged by a release that kept no vectors",
        "package it again with this release: mw run RECIPE",
    )


def unit(vectors_ND: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of zeros stays one."""
    lengths_N1 = np.linalg.norm(vectors_ND, axis=-1, keepdims=True)
    return vectors_ND / np.where(lengths_N1 > 0, lengths_N1, 1.0)


def _open(folder: Path, manifest: dict[str, Any], entry: dict[str, Any], threads: int) -> Variant:
    task = restore_task(manifest["task_spec"])
    encoder = open_encoder(folder / ("processor" if task.modality == "image" else TOKENIZER))
    rows = 0 if entry.get("batch_invariant", True) else 1
    place = folder / "variants" / entry["name"]
    return open_variant(place, entry["engine"], task, encoder, rows=rows, threads=threads)


def _choose(manifest: dict[str, Any], name: str | None) -> dict[str, Any]:
    wanted = name or manifest["default"]
    known = {entry["name"]: entry for entry in manifest["variants"]}
    if wanted not in known:
        raise UserError(
            "MW-605",
            f"the bundle has no variant `{wanted}`",
            expected=f"one of: {', '.join(known)}",
            fix=did_you_mean(wanted, known),
        )
    return known[wanted]
