"""A data set of the Hugging Face hub, or a local folder laid out as one.

    data: {source: hf://PolyAI/banking77}                       its split `train`
    data: {source: "hf://glue:sst2/validation"}                 NAME:CONFIG/SPLIT
    data: {splits: {train: hf:///data/my-set/train, test: hf:///data/my-set/test}}

A name may have an owner (OWNER/NAME); a last part such as train, validation or test is the split,
also with a slice (`train[:10%]`). Without one the split is `train`, or the only one. Code from a
repository is never run. Names of integer classes come from the set's features. What was downloaded
is kept in the library's cache (HF_HOME), so a second run needs no network; HF_ENDPOINT names
another hub, and HF_TOKEN opens sets that ask for one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.data.sources import BrokenRow, RawRow, Source, _values
from modelwright.errors import UserError, did_you_mean
from modelwright.runtime import libraries

VERSION = 1
REQUIRES = {"datasets": "hub"}

_PREFIX = "hf://"
_SPLIT = re.compile(
    r"^(train|training|validation|valid|val|dev|test|testing|eval|unsupervised|all)(\[.*\])?$"
)
_BATCH = 256


class Config(BaseModel):
    """Options of hub data sets."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    revision: str | None = Field(
        None, description="Branch, tag or commit of the set; pin a commit to get the same rows."
    )
    columns: list[str] | None = Field(None, description="Columns to read; all when unset.")


@dataclass(frozen=True)
class Address:
    """What a location names: a set on the hub or a folder, its configuration and split."""

    name: str
    config: str | None = None
    split: str | None = None


@final
class Hub(Source):
    """Rows of a hub data set."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    config: Config

    @classmethod
    def claims(cls, location: str) -> float:
        return 1.0 if location.startswith(_PREFIX) else 0.0

    @cached_property
    def _data(self) -> Any:
        """The split as a memory-mapped `datasets.Dataset`, images and sounds undecoded."""
        data = _load(parse(self.location), self.config.revision)
        chosen = self.config.columns
        for column in chosen or []:
            if column not in data.column_names:
                raise UserError(
                    "MW-202",
                    f"{self.location} has no column `{column}`",
                    expected=f"one of: {', '.join(data.column_names)}",
                    fix=did_you_mean(column, data.column_names),
                )
        return data.select_columns(chosen) if chosen else data

    def columns(self) -> list[str]:
        return list(self._data.column_names)

    def rows(self) -> Iterator[RawRow | BrokenRow]:
        data, file = self._data, self.location
        for start in range(0, len(data), _BATCH):
            columns = data[start : start + _BATCH]
            names = list(columns)
            for at, cells in enumerate(zip(*columns.values(), strict=True)):
                values = dict(zip(names, cells, strict=True))
                yield RawRow(_values.plain_row(values), start + at, file)

    def fingerprint(self) -> str:
        return _values.digest_rows(self.rows(), first="")

    def label_names(self) -> dict[str, list[str]]:
        return _values.class_names(self._data.features.to_dict())


def parse(location: str) -> Address:
    """Take a location apart."""
    rest = location.removeprefix(_PREFIX)
    path = rest
    if ":" in rest.split("[", 1)[0]:
        path, _, tail = rest.partition(":")
        config, _, split = tail.partition("/")
        return Address(_known_folder(path) or path, config or None, split or None)
    parts = path.rstrip("/").split("/")
    if len(parts) > 1 and not os.path.isdir(path) and _SPLIT.match(parts[-1]):
        return Address("/".join(parts[:-1]), None, parts[-1])
    local = path.startswith(("/", ".", "~"))
    if not local and len(parts) == 3:
        return Address("/".join(parts[:2]), None, parts[2])
    if not path or (len(parts) > 3 and not local):
        raise UserError(
            "MW-201",
            f"`{location}` names no data set",
            expected="hf://NAME[:CONFIG][/SPLIT], NAME with or without an owner, or a folder",
            fix="for example hf://PolyAI/banking77/train",
        )
    return Address(_known_folder(path) or path)


def _known_folder(path: str) -> str | None:
    expanded = os.path.expanduser(path)
    return expanded if os.path.isdir(expanded) else None


def _load(address: Address, revision: str | None) -> Any:
    datasets = libraries.require("datasets", "hub")
    datasets.disable_progress_bars()
    _check_folder(address.name)
    try:
        split = address.split or _default_split(datasets, address, revision)
        data = datasets.load_dataset(address.name, address.config, split=split, revision=revision)
        return _undecoded(datasets, data)
    except UserError:
        raise
    except Exception as error:
        raise _failed(address, error) from error


def _check_folder(name: str) -> None:
    if name.startswith(("/", ".", "~")) and not os.path.isdir(os.path.expanduser(name)):
        from modelwright.data.sources import _files

        raise _files.missing(name)


def _default_split(datasets: Any, address: Address, revision: str | None) -> str:
    splits = datasets.get_dataset_split_names(address.name, address.config, revision=revision)
    return "train" if "train" in splits or len(splits) != 1 else splits[0]


def _undecoded(datasets: Any, data: Any) -> Any:
    for column, feature in data.features.items():
        if isinstance(feature, datasets.Image | datasets.Audio):
            data = data.cast_column(column, type(feature)(decode=False))
    return data


def _failed(address: Address, error: Exception) -> UserError:
    """What the hub's libraries raised, told apart by what the user can do."""
    said = " ".join(str(error).split())[:300] or type(error).__name__
    shown = f"hf://{address.name}"
    if "script" in said:
        fix = "set data.options.revision to refs/convert/parquet, the hub's own converted copy"
        return UserError(
            "MW-201",
            f"{shown} needs code from its repository, which is never run",
            expected="a data set of plain files",
            fix=fix,
        )
    if "split" in said.lower() or "BuilderConfig" in said or "Config name is missing" in said:
        return UserError(
            "MW-201",
            f"{shown} has no such configuration or split: {said}",
            expected="hf://NAME:CONFIG/SPLIT with names that the set has",
            fix="choose one of those that the message lists",
        )
    return UserError(
        "MW-207",
        f"{shown} cannot be read: {said}",
        expected="a data set that exists, that this token may read, and a hub that answers",
        fix="check the name; set HF_TOKEN for a gated set, HF_ENDPOINT for a mirror",
    )
