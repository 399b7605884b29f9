"""Which files of a folder are for training, validation and test, by their names."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from modelwright.errors import UserError, nearest

ROLES = ("train", "validation", "test")

_WORDS = {
    "train": re.compile(r"train(ing|set)?\d*[km]?|训练集?"),
    "validation": re.compile(
        r"dev(el|elopment)?\d*[km]?|val(id|idation|set)?\d*[km]?|testa|验证集?|开发集?"
    ),
    "test": re.compile(r"test(ing|set|b)?\d*[km]?|t10k|eval(uation)?|测试集?"),
}
_TOKEN = re.compile(r"[^\W_]+")
_COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
_NOT_DATA = re.compile(
    r"(readme|licen[cs]e|notice|citation|changelog|makefile|dockerfile)\b.*"
    r"|(labels?|classes|label_?names|domains|dataset_infos?|config|schema)\.(json|txt|ya?ml)"
    r"|.*\.(md|rst|py|ipynb|sh|ya?ml|toml|lock|log|pdf|html)",
    re.IGNORECASE,
)


@dataclass
class SplitFiles:
    """What was found at a location.

    Attributes:
        source: where all rows are, when no file is named for training.
        files: the file, glob or folder of each split.
        ignored: names in the folder that are not used.
        beside: for a single file, files beside it that look like further splits.
    """

    source: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)

    @property
    def training(self) -> str:
        """The location that the columns are read from."""
        return self.files.get("train") or self.source or ""


def find_splits(location: str) -> SplitFiles:
    """The split files at a location; a file, glob or URL is taken as it is.

    Raises:
        UserError: MW-201 for a folder of several data sets, MW-804 when nothing is there.
    """
    if "://" in location or ".zip/" in location.lower():
        return SplitFiles(source=location)
    path = Path(location).expanduser()
    if path.is_dir():
        return _of_folder(path, location)
    if not path.exists() and not set("*?[") & set(location):
        raise _missing(path, location)
    role = role_of(path.name)
    siblings = sorted(p.name for p in path.parent.glob("*") if p.is_file()) if role else []
    beside = [name for name in siblings if role_of(name) not in (None, role)]
    return SplitFiles(source=location, beside=beside)


def role_of(name: str) -> str | None:
    """The split that a file's or folder's name speaks of."""
    for token in _TOKEN.findall(name.lower()):
        for role, pattern in _WORDS.items():
            if pattern.fullmatch(token):
                return role
    return None


def _of_folder(folder: Path, location: str) -> SplitFiles:
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    data = [name for name in names if not _NOT_DATA.fullmatch(name)]
    found: dict[str, list[str]] = defaultdict(list)
    for name in data:
        if (role := role_of(name)) and not _is_idx_labels(name):
            found[role].append(name)
    if not found.get("train"):
        return _without_training(folder, location, data)
    chosen = {"train": _one(found["train"], None)}
    for role in ("validation", "test"):
        if found.get(role):
            chosen[role] = _one(found[role], _suffix(chosen["train"]))
    files = {role: _join(location, name) for role, name in chosen.items() if name}
    used = {name for role in files for name in found[role] if Path(name).match(chosen[role])}
    ignored = [name for name in data if name not in used and not _is_idx_labels(name)]
    return SplitFiles(files=files, ignored=ignored)


def _without_training(folder: Path, location: str, data: list[str]) -> SplitFiles:
    """A folder where nothing is named for training: one file, one data set, or several."""
    files = [name for name in data if (folder / name).is_file()]
    if len(files) == 1 and len(data) == 1:
        return SplitFiles(source=_join(location, files[0]))
    sets = [name for name in data if (folder / name).is_dir() and _holds_training(folder / name)]
    if sets and not files:
        choices = ", ".join(_join(location, name) for name in sets)
        raise UserError(
            "MW-201",
            f"{location} holds {len(sets)} data sets",
            expected="the folder or file of one",
            fix=f"mw new {_join(location, sets[0])}; there are: {choices}",
        )
    return SplitFiles(source=location)


def _holds_training(folder: Path) -> bool:
    return any(role_of(path.name) == "train" for path in folder.iterdir())


def _one(names: list[str], suffix: str | None) -> str:
    """One name, or a glob over shards; the training file's format is preferred."""
    alike = [name for name in names if suffix is None or _suffix(name) == suffix] or names
    shortest = min(alike, key=lambda name: (len(name), name))
    family = {re.sub(r"\d+", "*", name) for name in alike if _suffix(name) == _suffix(shortest)}
    shards = [name for name in alike if re.sub(r"\d+", "*", name) in family]
    if len(family) == 1 and len(shards) > 1:
        return re.sub(r"\*+", "*", family.pop())
    return shortest


def _suffix(name: str) -> str:
    for ending in _COMPRESSIONS:
        name = name.removesuffix(ending)
    return Path(name).suffix.lower()


def _is_idx_labels(name: str) -> bool:
    return "idx" in name.lower() and "labels" in name.lower()


def _join(location: str, name: str) -> str:
    return str(Path(location) / name)


def _missing(path: Path, location: str) -> UserError:
    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    close = nearest(path.name, names)
    return UserError(
        "MW-804",
        f"there is no {location}",
        expected="a file, a folder, a glob or a URL with data",
        fix=f"did you mean `{path.parent / close}`?" if close else "check the path",
    )
