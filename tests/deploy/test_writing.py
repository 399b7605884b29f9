"""Only what `mw deploy` wrote is written over, and only while nobody changed it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from modelwright.deploy.writing import MARK, write_files
from modelwright.errors import UserError


def _refused(folder: Path, files: dict[str, str | bytes | Path]) -> str:
    with pytest.raises(UserError) as failed:
        write_files(folder, files)
    assert failed.value.problem.code == "MW-626"
    return failed.value.problem.seen


def test_a_second_time_writes_the_same_and_takes_away_what_is_gone(tmp_path: Path) -> None:
    out = tmp_path / "a" / "out"
    assert write_files(out, {"x": "1", "deep/er/y": b"2", "z": tmp_path / __file__}) == [
        "deep/er/y", "x", "z",
    ]  # fmt: skip
    mark = (out / MARK).read_text()
    write_files(out, {"x": "1", "deep/er/y": b"2", "z": Path(__file__)})
    assert (out / MARK).read_text() == mark
    write_files(out, {"x": "3"})
    assert sorted(path.name for path in out.iterdir()) == [MARK, "x"]
    assert (out / "x").read_text() == "3"


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    assert "did not write it" in _refused(tmp_path, {"x": "1"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.txt"]


def test_a_file_in_place_of_the_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("precious")
    _refused(tmp_path / "out", {"x": "1"})
    assert (tmp_path / "out").read_text() == "precious"


def test_what_was_changed_by_hand_is_written_over_only_with_force(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_files(out, {"x": "1", "y": "1"})
    (out / "x").write_text("mine")
    (out / "secrets").mkdir()
    (out / "secrets" / "keys.json").write_text("{}")
    assert "1 of its files were changed since: x" in _refused(out, {"x": "2", "y": "2"})
    assert (out / "y").read_text() == "1"
    write_files(out, {"x": "2", "y": "2"}, force=True)
    assert (out / "x").read_text() == "2"
    assert (out / "secrets" / "keys.json").read_text() == "{}"


@pytest.mark.parametrize("name", ["../victim", "/etc/victim", "a/../../victim", ""])
def test_a_list_that_names_files_elsewhere_removes_nothing(name: str, tmp_path: Path) -> None:
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.write_text("precious")
    out.mkdir()
    (out / MARK).write_text(json.dumps({"schema": 1, "files": {name: "0"}}))
    assert "outside the folder" in _refused(out, {"x": "1"})
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("content", ["", "[]", '{"files": 1}', '{"files": ["a"]}', "\x00"])
def test_a_half_written_list_is_no_list(content: str, tmp_path: Path) -> None:
    (tmp_path / MARK).write_text(content)
    _refused(tmp_path, {"x": "1"})


def test_files_can_be_read_by_the_user_of_a_container_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_files(tmp_path / "out", {"bundle/x": b"1", "run.sh": "#!/bin/sh\n"})
    finally:
        os.umask(before)
    out = tmp_path / "out"
    assert stat.S_IMODE((out / "bundle" / "x").stat().st_mode) == 0o644
    assert stat.S_IMODE((out / "bundle").stat().st_mode) == 0o755
    assert stat.S_IMODE((out / "run.sh").stat().st_mode) == 0o755
