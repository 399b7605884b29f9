"""Compares values with the schema: unknown keys, missing keys, wrong types, values out of range.

pydantic finds where something is wrong; the sentences are ours (`expect`, `mend`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from modelwright.errors import nearest
from modelwright.recipe import expect
from modelwright.recipe.emit import shown
from modelwright.recipe.mend import kind_of, mend
from modelwright.recipe.places import Path, dotted
from modelwright.recipe.schema import Part, Recipe

FIELD_WORDS = {
    "lr": "finetune.learning_rate",
    "batch_size": "finetune.batch_rows",
    "bs": "finetune.batch_rows",
    "num_epochs": "finetune.epochs",
    "num_train_epochs": "finetune.epochs",
    "max_length": "finetune.max_tokens",
    "max_len": "finetune.max_tokens",
    "max_seq_length": "finetune.max_tokens",
    "warmup_ratio": "finetune.warmup",
    "lora": "finetune.method",
    "patience": "finetune.early_stopping",
    "fp16": "finetune.precision",
    "bf16": "finetune.precision",
    "model": "base",
    "base_model": "base",
    "model_name": "base",
    "pretrained": "base",
    "dataset": "data",
    "train": "data.splits.train",
    "train_file": "data.splits.train",
    "dev": "data.splits.validation",
    "val": "data.splits.validation",
    "valid": "data.splits.validation",
    "validation_split": "data.splits.validation",
    "test_file": "data.splits.test",
    "file": "data.source",
    "path": "data.source",
    "cleaning": "data.clean",
    "cleaners": "data.clean",
    "augmentation": "data.augment",
    "training": "finetune",
    "fine_tune": "finetune",
    "evaluation": "evaluate",
    "metrics": "evaluate.limits",
    "random_seed": "seed",
    "<<": "",
}
"""Words of other tools, and where this recipe says the same."""


@dataclass(frozen=True)
class Finding:
    """A mistake at a path; `check` gives it its file and line."""

    path: Path
    code: str
    seen: str
    expected: str = ""
    fix: str = ""


def compare(model: type[BaseModel], values: Any, base: Path = ()) -> tuple[Any, list[Finding]]:
    """The model of `values`, or None, and what is wrong with them; paths start at `base`."""
    try:
        return model.model_validate(values), []
    except ValidationError as error:
        found: dict[tuple[Path, str], Finding] = {}
        for detail in error.errors(include_url=False, include_context=True):
            finding = _finding(model, values, base, detail)
            found.setdefault((finding.path, finding.code), finding)
        return None, _deepest(list(found.values()))


def _deepest(found: list[Finding]) -> list[Finding]:
    """Without those at a list or section in which a mistake was found: it is of the right kind."""
    inside = {one.path[:end] for one in found for end in range(len(one.path))}
    return [one for one in found if one.code != "MW-102" or one.path not in inside]


def _finding(model: type[BaseModel], values: Any, base: Path, detail: Mapping[str, Any]) -> Finding:
    path, value, kind = _resolve(model, values, detail["loc"]), None, detail["type"]
    value = lookup(values, path)
    if expect.at(model, path) == [expect.Choice(Part)] or _is_part(model, path):
        return _bad_part((*base, *path), value)
    if kind == "missing":
        return _missing(model, base, (*path, detail["loc"][-1]))
    if kind == "extra_forbidden":
        return _unknown(model, base, path, value)
    if kind in {"value_error", "assertion_error"}:
        said = detail["msg"].partition(", ")[2] or detail["msg"]
        return Finding((*base, *path), "MW-102", _seen((*base, *path), value), said)
    return _wrong(model, base, path, value)


def _is_part(model: type[BaseModel], path: Path) -> bool:
    choices = expect.at(model, path)
    return bool(choices) and all(choice.type is Part for choice in choices)


def _resolve(model: type[BaseModel], values: Any, location: tuple[str | int, ...]) -> Path:
    """The part of an error's location that is really in the values; stops at a part."""
    path: Path = ()
    for step, following in zip(location, (*location[1:], None), strict=True):
        if path and _is_part(model, path):
            break
        if not _holds(values, step):
            if following is not None and _holds(values, following):
                continue  # the name of the type that was tried
            break
        path, values = (*path, step), values[step]
    return path


def _holds(values: Any, step: str | int) -> bool:
    if isinstance(values, list):
        return isinstance(step, int) and step < len(values)
    return isinstance(values, dict) and step in values


def lookup(values: Any, path: Path) -> Any:
    """The value at a path."""
    for step in path:
        values = values[step]
    return values


# -- keys -----------------------------------------------------------------------------------------
def _unknown(model: type[BaseModel], base: Path, path: Path, value: Any) -> Finding:
    key, section = str(path[-1]), path[:-1]
    parent = expect.at(model, section) or []
    known = [name for choice in parent if choice.is_model for name in choice.type.model_fields]
    where = f" under `{dotted((*base, *section))}`" if (*base, *section) else ""
    expected = (
        f"one of the keys {', '.join(known)}" if known else "no keys: this part has no options"
    )
    seen = f"`{key}` is not a key{where}"
    return Finding(
        (*base, *path),
        "MW-101",
        seen,
        expected,
        _key_fix(model, key, (base, section), known, value),
    )


def _key_fix(
    model: type[BaseModel], key: str, at: tuple[Path, Path], known: list[str], value: Any
) -> str:
    base, section = at
    if key == "<<":
        return "write the keys out: YAML 1.2 has no merge key"
    folded = key.lower().replace("-", "_").replace(" ", "_")
    if folded in known:
        return f"did you mean `{folded}`?"
    if elsewhere := _elsewhere(key, folded, at) if model is Recipe else "":
        home, _, name = elsewhere.rpartition(".")
        if home == dotted((*base, *section)):
            return f"did you mean `{name}`?"
        return f"`{name}` belongs under `{home}`" if home else f"`{name}` belongs at the top level"
    if close := nearest(key, known):
        return f"did you mean `{close}`?"
    return "delete it, or correct its name" if value is None else "delete it"


def _elsewhere(key: str, folded: str, at: tuple[Path, Path]) -> str:
    """Where in a recipe this key stands, by its own name or by another tool's word for it."""
    if known := FIELD_WORDS.get(folded, FIELD_WORDS.get(key, "")):
        return known
    exact = [path for path in _all_keys() if path[-1] == folded and path[:-1] != at[1]]
    return dotted(exact[0]) if exact else ""


def _all_keys() -> list[Path]:
    """Every key of the schema, shallow ones first."""
    found: list[Path] = []
    queue: list[tuple[Path, type[BaseModel]]] = [((), Recipe)]
    while queue:
        path, model = queue.pop(0)
        for name in model.model_fields:
            here = (*path, name)
            found.append(here)
            for choice in expect.at(Recipe, here) or []:
                if choice.is_model and choice.type is not Part:
                    queue.append((here, choice.type))
    return found


def _missing(model: type[BaseModel], base: Path, path: Path) -> Finding:
    whole = (*base, *path)
    section = dotted(whole[:-1])
    where = f" under `{section}`" if section else ""
    parent = expect.at(model, path[:-1]) or []
    about = next((c.type.model_fields[path[-1]].description for c in parent if c.is_model), None)
    return Finding(
        whole,
        "MW-104",
        f"the key `{path[-1]}` is missing{where}",
        expect.sentence(expect.at(model, path) or []) + (f" ({about})" if about else ""),
        f"add a line `{path[-1]}: ...`{where}",
    )


# -- values ---------------------------------------------------------------------------------------
def _wrong(model: type[BaseModel], base: Path, path: Path, value: Any) -> Finding:
    found = expect.at(model, path) or []
    whole = (*base, *path)
    seen = _seen(whole, value)
    if _right_kind(found, value):
        seen += " is not allowed" if isinstance(value, str) else " is out of range"
    else:
        seen += f" is {kind_of(value)}"
    return Finding(whole, "MW-102", seen, expect.sentence(found), mend(found, value))


def _seen(path: Path, value: Any) -> str:
    return f"`{dotted(path)}: {shown(value)}`" if path else f"`{shown(value)}`"


def _right_kind(found: list[expect.Choice], value: Any) -> bool:
    if isinstance(value, bool):
        return any(choice.type is bool for choice in found)
    for choice in found:
        if isinstance(value, str) and (
            choice.type is str or any(isinstance(v, str) for v in choice.values)
        ):
            return True
        if isinstance(value, int) and choice.type in (int, float):
            return True
        if isinstance(value, float) and choice.type is float:
            return True
    return False


def _bad_part(path: Path, value: Any) -> Finding:
    """A part that is neither `NAME` nor `{NAME: {option: value}}`."""
    expected, fix = "a name, or {name: {option: value}}", ""
    if isinstance(value, dict) and len(value) > 1 and "name" not in value:
        (name, first), *rest = value.items()
        options = {**(first if isinstance(first, dict) else {}), **dict(rest)}
        if first is None or isinstance(first, dict):
            fix = f"indent its options further: {shown({name: options}, 100)}"
    elif isinstance(value, dict) and len(value) == 1:
        [(name, options)] = value.items()
        if not isinstance(options, dict):
            expected = f"options of `{name}` as keys with values"
            fix = f"write `{name}` alone, or {{{name}: {{option: {shown(options)}}}}}"
    elif isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        fix = f"write {value[0]}"
    elif isinstance(value, dict):
        fix = "write {NAME: {option: value}}"
    return Finding(
        path, "MW-102", f"{_seen(path, value)} is not a part", expected, fix or "write its name"
    )
