"""What a service was asked and answered: Parquet files in a folder, written there and read later.

    traffic/requests-20260102T030405-123456789-4242.parquet     one row for each recorded input
    traffic/feedback-20260102T030405-234567890-4242.parquet     one row for each true answer

A file is whole or absent. When the files of a kind take more than they may, the oldest go.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

from modelwright.runtime.files import fsync_folder, writing_errors

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["requests", "feedback"]

FLUSH_S = 30.0
FLUSH_ROWS = 5_000
MOST_WAITING = 50_000
"""Rows that wait for the disk; beyond that new ones are not kept, and counted."""
FLUSH_BYTES, MOST_BYTES = 8_000_000, 64_000_000
"""The same in characters of text, for images and long texts."""
STALE_S = 3600.0
"""A file that was not finished for so long belongs to a process that was killed."""
_LOG = logging.getLogger("modelwright.traffic")


def schema(kind: Kind) -> pa.Schema:
    """The columns of a kind; `prediction`, `input` and feedback's `label` are JSON."""
    import pyarrow as pa

    common = [
        pa.field("time", pa.timestamp("ms", tz="UTC")),
        pa.field("request_id", pa.string()),
        pa.field("index", pa.int32()),
        pa.field("model", pa.string()),
        pa.field("version", pa.string()),
    ]
    if kind == "feedback":
        return pa.schema([*common, pa.field("label", pa.string())])
    answer = [
        pa.field("input", pa.string()),
        pa.field("prediction", pa.string()),
        pa.field("label", pa.string()),
        pa.field("score", pa.float32()),
    ]
    return pa.schema([*common, *answer])


def read_traffic(folder: Path, kind: Kind) -> pa.Table:
    """Every row of a kind, oldest file first; no rows where there are no files."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = [pq.read_table(path) for path in _files(folder, kind)]
    return pa.concat_tables([schema(kind).empty_table(), *tables])


def read_latest(
    folder: Path,
    kind: Kind,
    rows: int,
    since: float = 0.0,
    model: str | None = None,
    *,
    columns: Sequence[str] = (),
) -> pa.Table:
    """The last rows of a kind, oldest first; a file that cannot be read is passed over, and told.

    Args:
        folder: of the files.
        kind: of the rows.
        rows: at most.
        since: seconds since 1970 from which rows count.
        model: its rows alone.
        columns: that are read, `time` and `model` among them; all where none is named.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wide = schema(kind)
    form = pa.schema([wide.field(name) for name in columns]) if columns else wide
    found, count = [form.empty_table()], 0
    for path in reversed(_files(folder, kind)):
        try:
            table = pq.read_table(path, schema=wide, columns=form.names)
        except (OSError, ValueError, pa.ArrowException) as error:
            _LOG.warning("%s is passed over: %s", path.name, error)
            continue
        wanted = pc.greater_equal(table["time"].cast(pa.int64()), int(since * 1000))
        if model is not None:
            wanted = pc.and_(wanted, pc.equal(table["model"], model))
        table = table.filter(wanted)
        found.insert(1, table)
        count += table.num_rows
        if count >= rows:
            break
    whole = pa.concat_tables(found).sort_by("time")
    return whole.slice(max(0, whole.num_rows - rows))


def answered(requests: pa.Table, request_ids: Iterable[str]) -> pa.Table:
    """The rows of these requests."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted(request_ids), pa.string())
    return requests.filter(pc.is_in(requests["request_id"], value_set=wanted))


def plain_rows(table: pa.Table) -> list[dict[str, Any]]:
    """A table's rows, `time` in milliseconds since 1970: an image may know no time zones."""
    import pyarrow as pa

    moments = table["time"].cast(pa.int64())
    return table.set_column(table.column_names.index("time"), "time", moments).to_pylist()


def _files(folder: Path, kind: Kind) -> list[Path]:
    return sorted(folder.glob(f"{kind}-*.parquet"))


def _size(row: Mapping[str, Any]) -> int:
    return sum(len(value) for value in row.values() if isinstance(value, str))


@final
class TrafficWriter:
    """Keeps rows in memory for a short while and writes them in a thread of its own.

    Args:
        folder: made where it is not there.
        kind: of the rows.
        most_bytes: of all files of the kind in the folder.

    Attributes:
        dropped: rows that were not kept.

    Raises:
        UserError: MW-802 when the folder cannot be made.
    """

    def __init__(self, folder: Path, kind: Kind, most_bytes: int) -> None:
        self.folder, self._most = folder, most_bytes
        self.kind: Kind = kind
        self.dropped = 0
        self._rows: list[Mapping[str, Any]] = []
        self._bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        with writing_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._clear()
        self._thread = threading.Thread(target=self._loop, name=f"traffic-{kind}", daemon=True)
        self._thread.start()

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep rows; never waits for the disk."""
        with self._changed:
            room = MOST_WAITING - len(self._rows) if self._bytes < MOST_BYTES else 0
            self._rows.extend(rows[:room])
            self._bytes += sum(map(_size, rows[:room]))
            self.dropped += max(0, len(rows) - room)
            if self._due():
                self._changed.notify()

    def close(self) -> None:
        """Write what is left."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._due(), timeout=FLUSH_S)
                rows, self._rows, self._bytes = self._rows, [], 0
                closing = self._closing
            if rows:
                self._keep(rows)
            if closing:
                return

    def _due(self) -> bool:
        return len(self._rows) >= FLUSH_ROWS or self._bytes >= FLUSH_BYTES

    def _keep(self, rows: list[Mapping[str, Any]]) -> None:
        """A disk that is full loses rows and not the service."""
        try:
            self._write(rows)
            self._prune()
        except Exception as error:  # noqa: BLE001 - the thread must outlive any of its files
            self.dropped += len(rows)
            _LOG.error("%d rows of traffic could not be written: %s", len(rows), error)

    def _write(self, rows: list[Mapping[str, Any]]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        seconds, rest = divmod(time.time_ns(), 1_000_000_000)
        moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
        name = f"{self.kind}-{moment}-{rest:09d}-{os.getpid()}.parquet"
        temporary = self.folder / f".{name}.tmp"
        form = schema(self.kind)
        columns = {name: [row.get(name) for row in rows] for name in form.names}
        table = pa.Table.from_pydict(columns, form)
        try:
            with temporary.open("wb") as file:
                pq.write_table(table, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.folder / name)
        finally:
            temporary.unlink(missing_ok=True)
        fsync_folder(self.folder)

    def _clear(self) -> None:
        """Remove what killed processes left."""
        for path in self.folder.glob(f".{self.kind}-*.tmp"):
            if time.time() - path.stat().st_mtime > STALE_S:
                path.unlink(missing_ok=True)

    def _prune(self) -> None:
        files = _files(self.folder, self.kind)
        sizes = [path.stat().st_size for path in files]
        total = sum(sizes)
        for path, size in zip(files[:-1], sizes, strict=False):
            if total <= self._most:
                return
            path.unlink(missing_ok=True)
            total -= size
