"""The compression stage's request: its teacher, from training or from a folder that a user names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelwright.artifacts.bundle import MANIFEST, read_bundle
from modelwright.artifacts.dataset import Dataset
from modelwright.artifacts.hashing import digest_files, digest_json
from modelwright.errors import UserError
from modelwright.models.checkpoint import TrainedModel, open_checkpoint
from modelwright.pipeline.stages import Work, surroundings, task_options
from modelwright.recipe.files import locate
from modelwright.runtime.files import read_json, write_json


def digest_of_model(work: Work) -> str:
    """Content of the folder that `compress.model` names."""
    return digest_json(digest_files(_named(work)))


def digest_of_unlabelled(work: Work) -> str | None:
    """Content of the file that `compress.unlabelled` names; None without one."""
    from modelwright.data.sources._opening import open_source

    section = work.recipe.compress
    if section is None or section.unlabelled is None:
        return None
    return open_source(locate(section.unlabelled, work.folder), "auto", {}).fingerprint()


def compress(work: Work, folder: Path) -> dict[str, Any]:
    """Run the stage into an empty folder; what was measured stays beside the store's artifacts."""
    from modelwright.compress.stage import CompressRequest, run

    dataset = Dataset.open(work.path("data"))
    if "finetune" in work.keys:
        teacher = open_checkpoint(work.path("finetune"))
        training = read_json(work.path("finetune") / "training.json")
        origin = work.keys["finetune"]
    else:
        from modelwright.models.importing import open_model

        teacher, training = open_model(
            _named(work), work.recipe.task.name, task_options(work.recipe)
        )
        _check_labels(teacher, dataset, _named(work))
        training = _told(_named(work), training)
        teacher.save(folder / "teacher")
        write_json(folder / "teacher" / "training.json", training)
        origin = digest_of_model(work)
    section = work.recipe.compress
    assert section is not None, "the stage runs where the section is"  # noqa: S101
    request = CompressRequest(
        compress=section,
        teacher=teacher,
        training=training,
        dataset=dataset,
        effort=work.recipe.effort,
        seed=work.recipe.seed,
        unlabelled=_unlabelled(work, teacher),
        folder=folder,
        scratch=work.store.scratch(search_key(work, origin)),
    )
    return run(request)


def search_key(work: Work, origin: str) -> str:
    """Names a search by what its points hang on: not by limits and budget, so that others begin
    with them.

    Args:
        work: with the data's key.
        origin: the teacher's digest.
    """
    section = work.recipe.compress
    assert section is not None, "the stage runs where the section is"  # noqa: S101
    parts = [part.short() for part in section.passes] if section.passes is not None else None
    aims = [work.keys["data"], origin, parts, section.batch, section.minimize, work.recipe.seed]
    aims += [digest_of_unlabelled(work), surroundings()]
    return f"search-{digest_json([str(aim) for aim in aims])[:16]}"


def _named(work: Work) -> Path:
    section = work.recipe.compress
    return Path(locate(str(section.model if section else ""), work.folder))


def _told(folder: Path, training: dict[str, Any]) -> dict[str, Any]:
    """What is known of the making of a model that was not trained here, as training.json has it."""
    manifest = read_bundle(folder) if (folder / MANIFEST).is_file() else {}
    unknown = {"method": "imported", "settings": {}, "best": {}, "seconds": 0.0}
    base = {"id": folder.name, "licence": "unknown", "digest": digest_json(digest_files(folder))}
    known = {"base": manifest.get("base", base), **manifest.get("training", {})}
    return {**unknown, **known, **training}


def _check_labels(teacher: TrainedModel, dataset: Dataset, folder: Path) -> None:
    """A model can be judged only on labels that it knows."""
    unknown = sorted(set(dataset.info.labels) - set(teacher.task.spec.labels))
    if unknown:
        raise UserError(
            "MW-302",
            f"the data has labels that the model does not know: {', '.join(unknown[:5])}",
            expected=f"labels among: {', '.join(teacher.task.spec.labels[:12])}",
            fix="name the labels as the model's config.json does (id2label), or fine-tune a base",
            file=str(folder),
        )


def _unlabelled(work: Work, teacher: TrainedModel) -> list[Any]:
    """Inputs of `compress.unlabelled`: its column for the task's text, or its only column."""
    section = work.recipe.compress
    if section is None or section.unlabelled is None:
        return []
    from modelwright.data.sources import BrokenRow
    from modelwright.data.sources._opening import open_source

    location = locate(section.unlabelled, work.folder)
    source = open_source(location, "auto", {})
    columns = work.recipe.data.columns
    roles = [role for role in type(teacher.task).roles if role.required and not role.target]
    found: list[Any] = []
    for row in source.rows():
        if isinstance(row, BrokenRow):
            continue
        values = row.values
        names = {role.name: _column(role, columns, values) for role in roles}
        if all(name is not None for name in names.values()):
            given = {role: values[str(name)] for role, name in names.items()}
            if all(given.values()):
                found.append(teacher.task.example(given))
    if not found:
        raise UserError(
            "MW-202",
            f"`compress.unlabelled` holds no row with {', '.join(role.name for role in roles)}",
            expected="the same columns as the training data, without the label",
            fix="name the column as in the training data",
            file=location,
        )
    return found


def _column(role: Any, columns: dict[str, str], values: dict[str, Any]) -> str | None:
    """The name of a role's column in a file."""
    wanted = (columns.get(role.name), role.name, *role.aliases)
    named = next((name for name in wanted if name in values), None)
    return named or (next(iter(values)) if len(values) == 1 else None)
