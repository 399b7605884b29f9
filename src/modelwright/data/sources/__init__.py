"""One file per way in which rows lie around: csv, jsonl, parquet, CoNLL, images, SQL, hubs.

A source reads; it neither cleans nor judges. It yields rows in the order of the file, and what it
cannot read as a `BrokenRow` with its place, never an exception for a single row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel


@dataclass(slots=True)
class RawRow:
    """One row as the source has it.

    Attributes:
        values: by the source's own column names; text as str, images as bytes, lists as lists.
        number: the row's number in this source, from 0, broken rows counted.
        file: file name as the user would recognise it.
        line: line of the file, from 1, where that means something.
        repairs: what reading already repaired (ledger slugs).
    """

    values: dict[str, Any]
    number: int
    file: str
    line: int | None = None
    repairs: tuple[str, ...] = ()


@dataclass(slots=True)
class BrokenRow:
    """A row that could not be read; `reason` is the ledger's slug."""

    reason: str
    detail: str
    number: int
    file: str
    line: int | None = None


class Source(ABC):
    """The interface of a source plug.

    Args:
        location: path, folder, glob or URL (fsspec URLs for anything that is a file).
        config: the plug's `Config`.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    """File endings that `format: auto` takes for this format, compression suffixes removed."""

    def __init__(self, location: str, config: BaseModel) -> None:
        self.location, self.config = location, config

    @classmethod
    @abstractmethod
    def claims(cls, location: str) -> float:
        """How sure this format is that `location` is its own, 0 to 1, by name and first bytes."""

    @abstractmethod
    def columns(self) -> list[str]:
        """Column names in order."""

    @abstractmethod
    def rows(self) -> Iterator[RawRow | BrokenRow]:
        """All rows, streaming; the same order every time."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A digest that changes exactly when the content (or the query) changes."""

    def label_names(self) -> dict[str, list[str]]:
        """Names of integer-coded columns that the source declares (hub features, labels.json)."""
        return {}


INTERFACE = Source
