"""What the tests of the data stage share: rows without files, and a run on them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from modelwright import plugs
from modelwright.artifacts.dataset import Dataset
from modelwright.data import DataRequest, run
from modelwright.data.sources import BrokenRow, RawRow, Source
from modelwright.recipe.schema import Data, Part, Splits

Table = Sequence[Mapping[str, Any] | BrokenRow]


class Rows(Source):
    """A source that holds its rows."""

    suffixes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, location: str, table: Table, names: dict[str, list[str]]) -> None:
        self.location, self.table, self.names = location, list(table), names

    @classmethod
    def claims(cls, location: str) -> float:
        return 0.0

    def columns(self) -> list[str]:
        good = [row for row in self.table if not isinstance(row, BrokenRow)]
        return list(dict.fromkeys(name for row in good for name in row))

    def rows(self) -> Iterator[RawRow | BrokenRow]:
        for number, row in enumerate(self.table):
            if isinstance(row, BrokenRow):
                yield row
            else:
                yield RawRow(dict(row), number, self.location, number + 2)

    def fingerprint(self) -> str:
        return ""

    def label_names(self) -> dict[str, list[str]]:
        return self.names


@dataclass
class Outcome:
    """A dataset with its ledger read in."""

    dataset: Dataset
    folder: Path
    entries: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        text = (self.folder / "ledger.jsonl").read_text(encoding="utf-8")
        self.entries = [json.loads(line) for line in text.splitlines()]
        self.ledger = json.loads((self.folder / "ledger.json").read_text(encoding="utf-8"))

    @property
    def audit(self) -> dict[str, Any]:
        return self.dataset.info.audit

    def texts(self, split: str) -> list[str]:
        return [row["text"] for row in self.dataset.rows(split)]

    def dropped(self, reason: str) -> list[tuple[str, int]]:
        """(split, row) of rows dropped for a reason."""
        return [
            (entry["split"], entry["row"])
            for entry in self.entries
            if entry["action"] == "dropped" and entry["reason"] == reason
        ]


Runner = Callable[..., Outcome]


@pytest.fixture
def stage(tmp_path: Path) -> Runner:
    """stage({"source": rows}, clean=[...], ...) runs the data stage on rows by split."""
    count = 0

    def run_it(
        tables: Mapping[str, Table],
        *,
        task: str = "text-classification",
        options: Mapping[str, Any] | None = None,
        clean: Sequence[Any] | None = (),
        names: dict[str, list[str]] | None = None,
        seed: int = 0,
        leaks: Any = "remove",
        keep_ledger: Path | None = None,
        splits: Mapping[str, Any] | None = None,
        **data: Any,
    ) -> Outcome:
        nonlocal count
        count += 1
        folder = tmp_path / f"out-{count}"
        folder.mkdir()
        files = {name: f"{name}.rows" for name in tables if name != "source"}
        if "source" in tables:
            data["source"] = "source.rows"
        plug = plugs.load("task", task)
        request = DataRequest(
            data=Data(
                splits=Splits(**{**files, **(splits or {})}),
                clean=None if clean is None else [Part.model_validate(part) for part in clean],
                **data,
            ),
            task=plug.cls,
            options={**plug.config().model_dump(), **(options or {})},
            folder=tmp_path,
            output=folder,
            seed=seed,
            leaks=leaks,
            keep_ledger=keep_ledger,
        )

        def opener(location: str, format: str, options: dict[str, Any]) -> Source:
            name = Path(location).name
            return Rows(name, tables[name.removesuffix(".rows")], names or {})

        return Outcome(run(request, opener=opener), folder)

    return run_it


@pytest.fixture
def labelled() -> Callable[..., list[dict[str, Any]]]:
    """labelled((text, label), ...) gives rows."""
    return lambda *pairs: [{"text": text, "label": label} for text, label in pairs]


@pytest.fixture
def many() -> Callable[..., list[dict[str, Any]]]:
    """many(count, classes=2, start=0) gives distinct rows that share no wording."""

    def make(count: int, classes: int = 2, start: int = 0) -> list[dict[str, Any]]:
        numbers = range(start, start + count)
        words = ["".join(chr(97 + (n * k + k) % 26) for k in range(3, 9)) for n in numbers]
        return [
            {"text": f"{word} number {n * 7919}", "label": f"class {n % classes}"}
            for n, word in zip(numbers, words, strict=True)
        ]

    return make


@pytest.fixture(scope="session")
def real() -> Path:
    """The shared folder of small real data sets."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("MODELWRIGHT_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no test data in {folder}; set MODELWRIGHT_TEST_DATA")
    return folder
