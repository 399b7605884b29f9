"""Parquet: a file, a folder or a pattern of files, read in batches.

    data: {source: "s3://bucket/table/*.parquet"}

Values keep their types: lists as lists, images (a struct with `bytes`, as dataset hubs write them)
as their bytes. Names of integer classes that the file declares are kept. Strings that are not valid
UTF-8 set their row aside as `undecodable`. Rows have no line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.data.sources import BrokenRow, RawRow, Source, _files, _glimpse, _values
from modelwright.errors import UserError, did_you_mean
from modelwright.runtime import libraries

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

VERSION = 1
REQUIRES = {"pyarrow": "data"}


class Config(BaseModel):
    """Options of Parquet."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    columns: list[str] | None = Field(None, description="Columns to read; all when unset.")
    batch_rows: int = Field(1024, ge=1, description="Rows held in memory at a time.")


@final
class Parquet(Source):
    """Rows of Parquet files."""

    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")
    config: Config

    @classmethod
    def claims(cls, location: str) -> float:
        seen = _glimpse.at(location)
        return 1.0 if seen.head.startswith(b"PAR1") else seen.by_suffix(cls.suffixes)

    @cached_property
    def _inputs(self) -> list[_files.Input]:
        return _files.find(self.location, self.suffixes)

    def columns(self) -> list[str]:
        names: dict[str, None] = {}
        for item in self._inputs:
            with item.stored() as file:
                names.update(dict.fromkeys(self._chosen(_open(file, item.name), item.name)))
        return list(names)

    def rows(self) -> Iterator[RawRow | BrokenRow]:
        number = 0
        for item in self._inputs:
            with item.stored() as file:
                table = _open(file, item.name)
                chosen = self._chosen(table, item.name)
                for batch in _batches(table, self.config.batch_rows, chosen, item.name):
                    yield from _rows(batch, number, item.name)
                    number += batch.num_rows

    def fingerprint(self) -> str:
        return _files.combined(self._inputs)

    def label_names(self) -> dict[str, list[str]]:
        with self._inputs[0].stored() as file:
            schema = _open(file, self._inputs[0].name).schema_arrow
        declared = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        return _values.class_names(declared.get("info", {}).get("features", {}))

    def _chosen(self, table: pq.ParquetFile, name: str) -> list[str]:
        there = table.schema_arrow.names
        for column in self.config.columns or []:
            if column not in there:
                raise UserError(
                    "MW-202",
                    f"there is no column `{column}`",
                    expected=f"one of: {', '.join(there)}",
                    fix=did_you_mean(column, there),
                    file=name,
                )
        return self.config.columns or there


def _open(file: Any, name: str) -> pq.ParquetFile:
    arrow = libraries.require("pyarrow", "data")
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file)
    except (arrow.ArrowException, OSError) as error:
        raise _files.damaged(name, str(error).split("\n")[0]) from error


def _batches(
    table: pq.ParquetFile, size: int, columns: list[str], name: str
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    try:
        yield from table.iter_batches(batch_size=size, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise _files.damaged(name, str(error).split("\n")[0]) from error


def _rows(batch: pa.RecordBatch, number: int, file: str) -> Iterator[RawRow | BrokenRow]:
    try:
        found = batch.to_pylist()
    except UnicodeDecodeError:
        yield from _one_by_one(batch, number, file)
        return
    for values in found:
        yield RawRow(_values.plain_row(values), number, file)
        number += 1


def _one_by_one(batch: pa.RecordBatch, number: int, file: str) -> Iterator[RawRow | BrokenRow]:
    for at in range(batch.num_rows):
        try:
            [values] = batch.slice(at, 1).to_pylist()
            yield RawRow(_values.plain_row(values), number + at, file)
        except UnicodeDecodeError as error:
            yield BrokenRow("undecodable", str(error)[:160], number + at, file)
