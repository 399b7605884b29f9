"""What offline prediction leaves behind: rows, rejected rows, and a journal to go on from.

    OUT.partial                 rows so far; OUT when finished
    OUT.partial.rejected.jsonl  rows set aside so far; OUT.rejected.jsonl when finished
    OUT.partial.json            the journal: input rows done, lengths of the two files

After each window the two files are flushed to disk, then the journal is replaced. A killed process
leaves at most one window beyond the journal; the next one cuts it off and goes on, so that
the finished file is the one that an uninterrupted run gives, byte for byte.
"""

from __future__ import annotations

import base64
import csv
import errno
import fcntl
import gzip
import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol, final

from modelwright.errors import UserError
from modelwright.runtime.files import fsync_folder, read_json, write_json, writing_errors

Row = dict[str, Any]


@dataclass
class Journal:
    """How far a job is.

    Attributes:
        job: what determines the output; another job's leftovers are not gone on from.
        rows: input rows done.
        predicted: rows written.
        rejected: rows set aside.
        bytes: length of the output so far.
        rejected_bytes: length of the rejected file so far.
        finished: all rows are done; only renaming is left.
    """

    job: dict[str, Any] = field(default_factory=dict)
    rows: int = 0
    predicted: int = 0
    rejected: int = 0
    bytes: int = 0
    rejected_bytes: int = 0
    finished: bool = False


class Form(Protocol):
    """How rows become bytes that can be appended window by window."""

    def head(self) -> bytes:
        """What stands before the first row."""
        ...

    def body(self, rows: Sequence[Row]) -> bytes:
        """Some rows."""
        ...

    def finish(self, path: Path) -> None:
        """Make the appended bytes at `path` the finished file, in place."""
        ...


@final
class Delimited:
    """csv and tsv; lists of labels are joined by `|`, other structures are JSON."""

    def __init__(self, columns: Sequence[str], delimiter: str) -> None:
        self.columns, self.delimiter = list(columns), delimiter

    def head(self) -> bytes:
        return self._text([self.columns])

    def body(self, rows: Sequence[Row]) -> bytes:
        return self._text([[cell(row.get(name)) for name in self.columns] for row in rows])

    def finish(self, path: Path) -> None:
        """It is finished as it is."""

    def _text(self, lines: Sequence[Sequence[str]]) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=self.delimiter, lineterminator="\n").writerows(lines)
        return _bytes(text.getvalue())


@final
class JsonLines:
    """One object a line; the values keep their types."""

    def head(self) -> bytes:
        return b""

    def body(self, rows: Sequence[Row]) -> bytes:
        return _bytes("".join(_json(row) + "\n" for row in rows))

    def finish(self, path: Path) -> None:
        """It is finished as it is."""


@final
class ParquetForm:
    """parquet, by way of an Arrow stream, which unlike parquet can be appended to.

    Args:
        schema: of the rows, predictions included.
    """

    def __init__(self, schema: Any) -> None:
        self.schema = schema

    def head(self) -> bytes:
        return self.schema.serialize().to_pybytes()

    def body(self, rows: Sequence[Row]) -> bytes:
        import pyarrow as pa

        if not rows:
            return b""
        return pa.RecordBatch.from_pylist(list(rows), schema=self.schema).serialize().to_pybytes()

    def finish(self, path: Path) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        made = path.with_name(path.name + ".parquet")
        with pa.OSFile(str(path)) as file, parquet.ParquetWriter(made, self.schema) as writer:
            for batch in pa.ipc.open_stream(file):
                writer.write_batch(batch)
        os.replace(made, path)


@final
class Gzipped:
    """Any form, each window as a gzip member of its own."""

    def __init__(self, inner: Form) -> None:
        self.inner = inner

    def head(self) -> bytes:
        return self._packed(self.inner.head())

    def body(self, rows: Sequence[Row]) -> bytes:
        return self._packed(self.inner.body(rows))

    def finish(self, path: Path) -> None:
        """It is finished as it is."""

    def _packed(self, data: bytes) -> bytes:
        return gzip.compress(data, mtime=0) if data else b""


def cell(value: Any) -> str:
    """A value as text of one csv cell."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, str) and "|" not in one for one in value):
        return "|".join(value)
    if isinstance(value, (list, dict, bool)):
        return _json(value)
    return str(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _bytes(text: str) -> bytes:
    """UTF-8; half a surrogate pair, which JSON can smuggle in, stays the escape it was."""
    return text.encode("utf-8", "backslashreplace")


@final
class FileOutput:
    """A file that grows window by window and survives being killed.

    Args:
        target: the finished file.
        form: how rows become bytes.
        job: what determines the output.

    Raises:
        UserError: MW-803 when another process writes it, MW-802 when the disk refuses.
    """

    def __init__(self, target: Path, form: Form, job: dict[str, Any]) -> None:
        self.target, self.form = target, form
        self.partial = target.with_name(target.name + ".partial")
        self.rejects = target.with_name(target.name + ".partial.rejected.jsonl")
        self.rejected_target = target.with_name(target.name + ".rejected.jsonl")
        self._journal_file = target.with_name(target.name + ".partial.json")
        with writing_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():  # else found out after the last row
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
            self._file = self.partial.open("ab")
            self._lock()
            self._rejects = self.rejects.open("ab")
        self.journal = self._resume(job)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise UserError(
                "MW-803",
                f"another process is writing {self.target}",
                expected="one `mw predict` an output file",
                fix="wait for it, or choose another --out",
            ) from error

    def _resume(self, job: dict[str, Any]) -> Journal:
        """Cut both files to what the journal vouches for; start anew if it is another job's."""
        try:
            found = Journal(**read_json(self._journal_file))
        except (OSError, ValueError, TypeError):
            found = Journal()
        sizes = (self.partial.stat().st_size, self.rejects.stat().st_size)
        usable = found.job == job and sizes[0] >= found.bytes and sizes[1] >= found.rejected_bytes
        journal = found if usable else Journal(job=job)
        with writing_errors(self.target):
            self._file.truncate(journal.bytes)
            self._rejects.truncate(journal.rejected_bytes)
            if not journal.bytes:
                self._append(self._file, self.form.head())
                self._commit(journal)
        return journal

    def append(self, rows: Sequence[Row], rejected: Sequence[Row], consumed: int) -> None:
        """Write one window, durably, and note that `consumed` input rows are done."""
        with writing_errors(self.target):
            self._append(self._file, self.form.body(rows))
            self._append(self._rejects, JsonLines().body(rejected))
            self.journal.rows += consumed
            self.journal.predicted += len(rows)
            self.journal.rejected += len(rejected)
            self._commit(self.journal)

    def finish(self) -> None:
        """Give the files their names; the journal goes last."""
        with writing_errors(self.target):
            self.journal.finished = True
            self._commit(self.journal)
            self._rejects.close()
            self.form.finish(self.partial)
            if self.journal.rejected:
                os.replace(self.rejects, self.rejected_target)
            else:
                self.rejects.unlink()
                self.rejected_target.unlink(missing_ok=True)
            os.replace(self.partial, self.target)
            self._journal_file.unlink()
            fsync_folder(self.target.parent)
        self.close()

    def close(self) -> None:
        """Let go of the files; what is written stays for the next attempt."""
        self._file.close()
        self._rejects.close()

    @property
    def rejected_path(self) -> str | None:
        return str(self.rejected_target) if self.journal.rejected else None

    def _append(self, file: BinaryIO, data: bytes) -> None:
        if data:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def _commit(self, journal: Journal) -> None:
        journal.bytes = self.partial.stat().st_size
        journal.rejected_bytes = self.rejects.stat().st_size
        write_json(self._journal_file, asdict(journal))


@final
class StreamOutput:
    """Standard output: nothing to resume; rejected rows go to stderr as JSON."""

    rejected_path = None

    def __init__(self, form: Form) -> None:
        self.form, self.journal = form, Journal()
        self._write(form.head())

    def append(self, rows: Sequence[Row], rejected: Sequence[Row], consumed: int) -> None:
        """Write one window."""
        self._write(self.form.body(rows))
        sys.stderr.write(JsonLines().body(rejected).decode())
        self.journal.rows += consumed
        self.journal.predicted += len(rows)
        self.journal.rejected += len(rejected)

    def finish(self) -> None:
        """Nothing is left to do."""

    def close(self) -> None:
        """Standard output stays open."""

    def _write(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
