"""Recorded traffic is whole files, bounded, and never in the way of who records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelwright.artifacts import traffic
from modelwright.artifacts.traffic import TrafficWriter, read_traffic, schema
from modelwright.errors import UserError


def rows(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"time": 1_700_000_000_000 + n, "request_id": f"r{n}", "index": 0, "model": "m",
         "version": "v", "label": f'"{n}"'}
        for n in range(first, first + count)
    ]  # fmt: skip


def test_what_is_written_is_read_in_order(tmp_path: Path):
    folder = tmp_path / "traffic"
    for start in (0, 10):
        writer = TrafficWriter(folder, "feedback", 10**9)
        writer.add(rows(10, start))
        writer.close()
    table = read_traffic(folder, "feedback")
    assert table.schema == schema("feedback")
    assert table.column("request_id").to_pylist() == [f"r{n}" for n in range(20)]
    assert read_traffic(folder, "requests").num_rows == 0
    assert not list(folder.glob(".*"))


def test_many_rows_are_written_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(traffic, "FLUSH_ROWS", 5)
    monkeypatch.setattr(traffic, "FLUSH_S", 3600.0)
    writer = TrafficWriter(tmp_path, "feedback", 10**9)
    written: list[int] = []
    write = writer._write
    monkeypatch.setattr(writer, "_write", lambda some: (written.append(len(some)), write(some)))
    writer.add(rows(7))
    writer.close()
    assert sum(written) == read_traffic(tmp_path, "feedback").num_rows == 7


def test_the_oldest_files_go_when_there_is_too_much(tmp_path: Path):
    most = 10**9
    for start in range(0, 60, 10):
        writer = TrafficWriter(tmp_path, "feedback", most)
        writer.add(rows(10, start))
        writer.close()
        if not start:
            [first] = tmp_path.glob("*.parquet")
            most = int(2.5 * first.stat().st_size)
    files = sorted(tmp_path.glob("*.parquet"))
    assert len(files) == 2
    assert sum(path.stat().st_size for path in files) <= most
    assert read_traffic(tmp_path, "feedback").column("request_id").to_pylist()[-1] == "r59"


def test_what_does_not_fit_is_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(traffic, "MOST_WAITING", 8)
    writer = TrafficWriter(tmp_path, "feedback", 10**9)
    writer.add(rows(20))
    assert writer.dropped == 12
    writer.close()
    assert read_traffic(tmp_path, "feedback").num_rows == 8


def test_a_disk_that_refuses_loses_rows_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    writer = TrafficWriter(tmp_path, "feedback", 10**9)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    writer.add(rows(3))
    writer.close()
    assert writer.dropped == 3
    assert list(tmp_path.iterdir()) == []


def test_rows_that_wait_take_so_much_memory_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(traffic, "MOST_BYTES", 100)
    monkeypatch.setattr(traffic, "FLUSH_BYTES", 10**9)
    writer = TrafficWriter(tmp_path, "feedback", 10**9)
    writer.add([{**rows(1)[0], "label": "x" * 200}])
    writer.add(rows(5))
    assert writer.dropped == 5
    writer.close()
    assert read_traffic(tmp_path, "feedback").num_rows == 1


def test_what_is_no_folder_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="MW-802"):
        TrafficWriter(tmp_path / "file", "feedback", 10**9)
