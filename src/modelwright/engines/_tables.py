"""Rows of a file in order and constant memory: csv, tsv, jsonl, txt, parquet; .gz; `-` is stdin.

    Reader(source).rows()  ->  RawLine(line=7, values={"text": "..."}) ...
                               RawLine(line=8, values=None, reason="...")   a row that can't be read

This is lighter than the data stage's sources on purpose: nothing is cleaned, deduplicated or
sampled, because every row of the user's file must come back.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

from modelwright.engines._delimited import Records
from modelwright.errors import UserError

FORMATS = ("csv", "tsv", "jsonl", "txt", "parquet")
_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl",
             ".txt": "txt", ".parquet": "parquet"}  # fmt: skip
_SAMPLE = 4 << 20
TEXT = "text"
"""Name of the only column of files that have no names."""


@dataclass(slots=True)
class RawLine:
    """One row: its first line in the file (from 1) and its values, or why there are none."""

    line: int
    values: dict[str, Any] | None = field(default=None)
    reason: str = ""


def format_of(name: str) -> str | None:
    """The format that a file's name tells, `.gz` removed; None when it tells none."""
    path = Path(name.removesuffix(".gz"))
    return _SUFFIXES.get(path.suffix.lower())


class Reader:
    """An opened file of rows.

    Args:
        source: path, or `-` for standard input.
        format: one of `FORMATS`, or None to tell by the name (by the first byte on stdin).

    Raises:
        UserError: MW-804 when it is not there or its format is unknown, MW-206 for its encoding.
    """

    def __init__(self, source: str, format: str | None = None) -> None:
        self.source = source
        self._raw = _open_bytes(source)
        self._bytes = _buffered(self._raw, source)
        self._text: io.TextIOWrapper | None = None
        self._table: Any = None
        self.delimiter = ","
        try:
            self.format = format or format_of(source) or self._guess()
            self.columns = self._open()
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int | None:
        """Bytes of the file, or None for stdin."""
        return None if self.source == "-" else Path(self.source).stat().st_size

    @property
    def position(self) -> int:
        """Bytes of the file read so far (of the compressed ones for .gz)."""
        return self._raw.tell() if self.source != "-" else 0

    def rows(self) -> Iterator[RawLine]:
        """All rows, in order; MW-804 where the file is damaged."""
        rows = {
            "csv": self._delimited,
            "tsv": self._delimited,
            "jsonl": self._json_lines,
            "txt": self._lines,
            "parquet": self._batches,
        }[self.format]
        try:
            yield from rows()
        except (OSError, EOFError, zlib.error) as error:
            raise _unreadable(self.source, str(error)) from error

    def close(self) -> None:
        """Close the file (never stdin)."""
        if self.source != "-":
            self._raw.close()
        elif self._text is not None:
            self._text.detach()
            self._bytes.detach()

    # -- opening ----------------------------------------------------------------------------------
    def _guess(self) -> str:
        """Standard input: JSON lines when it starts like them, else a text a line."""
        if self.source != "-":
            raise UserError(
                "MW-804",
                f"the format of {self.source} is not told by its name",
                expected="a name ending in .csv, .tsv, .jsonl, .txt or .parquet (and .gz)",
                fix=f"name the format: --format {'|'.join(FORMATS)}",
            )
        return "jsonl" if self._bytes.peek(64).lstrip()[:1] == b"{" else "txt"

    def _open(self) -> list[str]:
        if self.format == "parquet":
            return self._open_parquet()
        encoding, errors = _encoding(self._bytes, self.source)
        self._text = io.TextIOWrapper(self._bytes, encoding, errors, newline="")
        if self.format in ("csv", "tsv"):
            self.delimiter = "\t" if self.format == "tsv" else self._guess_delimiter(encoding)
            self._records = Records(self._text, self.delimiter)
            header, wrong = self._records.take()
            if wrong:
                raise _unreadable(self.source, f"{wrong} in its header")
            if not header:
                raise UserError(
                    "MW-804",
                    f"{self.source} is empty",
                    expected="a header line and rows",
                    fix="choose another file",
                )
            return _unique([name.strip() for name in header])
        return [TEXT] if self.format == "txt" else []

    def _guess_delimiter(self, encoding: str) -> str:
        """A comma, unless the header has none but has semicolons, tabs or bars."""
        header = self._bytes.peek(_SAMPLE).decode(encoding, "replace").partition("\n")[0]
        others = [mark for mark in ";\t|" if mark in header]
        return others[0] if others and "," not in header else ","

    def _open_parquet(self) -> list[str]:
        from modelwright.runtime.libraries import require

        parquet = require("pyarrow.parquet", "train")
        try:
            self._table = parquet.ParquetFile(self.source if self.source != "-" else self._bytes)
        except (OSError, ValueError) as error:
            raise _unreadable(self.source, str(error)) from error
        return list(self._table.schema_arrow.names)

    @property
    def arrow_schema(self) -> Any:
        """The schema of a parquet file, else None."""
        return None if self._table is None else self._table.schema_arrow

    # -- reading ----------------------------------------------------------------------------------
    def _delimited(self) -> Iterator[RawLine]:
        width = len(self.columns)
        while True:
            cells, wrong = self._records.take(width)
            line = self._records.line
            if cells is None:
                return
            if wrong:
                yield RawLine(line, reason=f"not {self.format}: {wrong}")
                continue
            if not cells and width > 1:
                continue  # a blank line is no row
            if len(cells) != width and not (width == 1 and not cells):
                yield RawLine(line, reason=f"{len(cells)} fields, the header has {width}")
                continue
            yield _whole(line, dict(zip(self.columns, cells or [""], strict=True)))

    def _json_lines(self) -> Iterator[RawLine]:
        for line, text in self._numbered():
            if not text.strip():
                continue
            try:
                value = json.loads(text)
            except (ValueError, RecursionError) as error:
                yield RawLine(line, reason=f"not JSON: {error}"[:200])
                continue
            if isinstance(value, str):
                value = {TEXT: value}
            if isinstance(value, dict):
                yield _whole(line, value)
            else:
                yield RawLine(line, reason="not a JSON object")

    def _lines(self) -> Iterator[RawLine]:
        for line, text in self._numbered():
            yield _whole(line, {TEXT: text})

    def _numbered(self) -> Iterator[tuple[int, str]]:
        if self._text is None:
            return
        for number, text in enumerate(self._text, start=1):
            yield number, text.rstrip("\r\n")

    def _batches(self) -> Iterator[RawLine]:
        number = 0
        for batch in self._table.iter_batches(batch_size=1024):
            for values in batch.to_pylist():
                number += 1
                yield RawLine(number, values)


def _unique(names: list[str]) -> list[str]:
    """Column names, the second of the same name with `_2`, ..."""
    seen: dict[str, int] = {}
    found: list[str] = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return found


def _whole(line: int, values: dict[str, Any]) -> RawLine:
    """The row, unless bytes of it could not be decoded."""
    for value in values.values():
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                return RawLine(
                    line, reason="bytes outside the file's encoding, or half a character"
                )
    return RawLine(line, values)


def _open_bytes(source: str) -> IO[bytes]:
    if source == "-":
        return sys.stdin.buffer
    try:
        return Path(source).open("rb")
    except OSError as error:
        raise _unreadable(source, error.strerror or str(error)) from error


def _buffered(raw: IO[bytes], source: str) -> io.BufferedReader:
    if source.endswith(".gz"):
        return io.BufferedReader(gzip.GzipFile(fileobj=raw))  # type: ignore[arg-type]
    return io.BufferedReader(raw, _SAMPLE)  # type: ignore[arg-type, type-var]


def _unreadable(source: str, why: str) -> UserError:
    return UserError(
        "MW-804",
        f"cannot read {source}: {why}",
        expected="a csv, tsv, jsonl, txt or parquet file",
        fix="check the path; `-` reads standard input",
        file=source,
    )


def _encoding(file: BinaryIO, source: str) -> tuple[str, str]:
    """The encoding of a text file and how to meet bytes outside it.

    UTF-8 (with a mark or not) unless its first 4 MB are not; then UTF-16 by its mark, or GB18030.
    Bad bytes in up to a third of the lines don't change that: they make their rows rejected ones.
    """
    try:
        sample = file.peek(_SAMPLE)  # type: ignore[attr-defined]
    except (OSError, EOFError) as error:
        raise _unreadable(source, str(error)) from error
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", "replace"
    every = sample.split(b"\n")
    if len(sample) >= _SAMPLE and len(every) > 1:
        del every[-1]  # it may be cut within a character
    lines = [line for line in every if not line.isascii()]
    bad = sum(not _decodes(line, "utf-8") for line in lines)
    if bad * 10 <= len(lines):
        return "utf-8-sig", "surrogateescape"
    if all(_decodes(line, "gb18030") for line in lines):
        return "gb18030", "surrogateescape"
    if bad * 3 <= len(every):
        return "utf-8-sig", "surrogateescape"
    raise UserError(
        "MW-206",
        f"{source} is neither UTF-8, nor UTF-16 with a mark, nor GB18030",
        expected="UTF-8",
        fix=f"convert it: iconv -f ENCODING -t UTF-8 {source}",
        file=source,
    )


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
