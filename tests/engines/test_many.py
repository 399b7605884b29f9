"""Many files: each gives its output, whole, once; Ray's workers write what this process writes."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from modelwright.cli import main
from modelwright.engines import _many
from modelwright.errors import UserError

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray, an extra, is not installed"
)
TEXTS = ["where is my parcel", "I want my money back", "close my account", "a gift card for Ann"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of four formats, of several rows, with a row that cannot be used and hostile names."""
    made = tmp_path / "july"
    made.mkdir()
    for number, name in enumerate(("a.csv", "b b.csv", "退款😀.csv")):
        with (made / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text"])
            writer.writerows([n, f"{TEXTS[n % 4]} {n * number}"] for n in range(120))
            writer.writerow(["empty", ""])
    lines = [json.dumps({"text": f"{text} 问", "n": n}) for n, text in enumerate(TEXTS)]
    (made / "c.jsonl").write_text("\n".join(lines) + "\n")
    (made / "d.txt").write_text("\n".join(TEXTS) + "\n")
    (made / "e.tsv").write_text("text\tid\n" + "".join(f"{text}\t1\n" for text in TEXTS))
    (made / "notes.md").write_text("no rows\n")
    (made / ".hidden.csv").write_text("text\nhello\n")
    return made


def _predict(bundle: Path, *words: str | Path) -> int:
    return main.run(["predict", str(bundle), *map(str, words)])


def _written(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}


@needs_ray
def test_ray_writes_byte_for_byte_what_this_process_writes_and_nothing_twice(
    tiny_bundle: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    here, there = tmp_path / "here", tmp_path / "there"
    assert _predict(tiny_bundle, "--file", folder, "--out", here) == 0
    assert _predict(tiny_bundle, "--file", folder, "--out", there, "--executor", "ray") == 0
    assert _written(here) == _written(there)
    assert {one.name for one in folder.iterdir()} - {"notes.md", ".hidden.csv"} == {
        name for name in _written(here) if not name.endswith(".rejected.jsonl")
    }
    times = {one.name: one.stat().st_mtime_ns for one in there.iterdir() if one.is_file()}
    (there / "a.csv").unlink()
    capsys.readouterr()
    words = ["--file", folder, "--out", there, "--executor", "ray", "--json"]
    assert _predict(tiny_bundle, *words) == 0
    said = json.loads(capsys.readouterr().out)
    assert [Path(one["file"]).name for one in said["files"] if not one["before"]] == ["a.csv"]
    assert (said["in"], said["predicted"], said["rejected"]) == (375, 372, 3)
    assert _written(here) == _written(there)
    later = {one.name: one.stat().st_mtime_ns for one in there.iterdir() if one.is_file()}
    changed = {name for name in later if later[name] != times[name]}
    assert changed == {"a.csv", "a.csv.rejected.jsonl"}


def test_an_output_is_made_again_when_its_file_or_the_columns_change(
    tiny_bundle: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def again(*words: str) -> list[str]:
        capsys.readouterr()
        command = ["--file", folder / "*.csv", "--out", tmp_path / "out", "--json", *words]
        assert _predict(tiny_bundle, *command) == 0
        said = json.loads(capsys.readouterr().out)
        return [Path(one["file"]).name for one in said["files"] if not one["before"]]

    assert again() == ["a.csv", "b b.csv", "退款😀.csv"]
    assert again() == []
    with (folder / "a.csv").open("a") as file:
        file.write("new,one more\n")
    assert again() == ["a.csv"]
    assert "one more" in (tmp_path / "out" / "a.csv").read_text()
    assert again("--column", "text") == ["a.csv", "b b.csv", "退款😀.csv"]
    (tmp_path / "out" / "b b.csv").write_text("cut short")
    assert again("--column", "text") == ["b b.csv"]


def test_a_file_that_fails_is_named_and_leaves_the_others_alone(
    tiny_bundle: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.csv").write_text("x,y\n1,2\n")
    assert _predict(tiny_bundle, "--file", folder / "*.csv", "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "MW-649 1 of 3 files could not be predicted" in said
    assert "a.csv: MW-606" in said
    names = {one.name for one in (tmp_path / "out").glob("*.csv")}
    assert names == {"b b.csv", "退款😀.csv"}


@needs_ray
def test_a_file_that_fails_on_ray_is_told_in_the_same_words(
    tiny_bundle: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (folder / "a.csv").write_text("x,y\n1,2\n")
    work = _many.Work(str(tiny_bundle), None, _many.Options())
    found: list[Any] = []
    for executor in ("local", "ray"):
        targets = _many.planned(str(folder / "[ac].*"), str(tmp_path / executor))
        done = _many.predict_files(work, targets, executor)
        found.append([(one.source, one.problem, one.totals is None) for one in done])
    assert found[0] == found[1]
    assert [failed for _, _, failed in found[0]] == [True, False]


@pytest.mark.parametrize(
    ("file", "out", "code"),
    [
        ("july/*.cvs", "out", "MW-645"),
        ("empty", "out", "MW-645"),
        ("july", "july/a.csv", "MW-646"),
        ("july", "-", "MW-646"),
        ("*/a.csv", "out", "MW-648"),
        ("july", "july", "MW-805"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    file: str, out: str, code: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "june"):
        (tmp_path / name).mkdir()
    (tmp_path / "june" / "a.csv").write_text("text\nhello\n")
    before = sorted(map(str, tmp_path.rglob("*")))
    assert _many.is_many(file)
    with pytest.raises(UserError) as failed:
        _many.planned(file, out)
    assert failed.value.problem.code == code
    assert sorted(map(str, tmp_path.rglob("*"))) == before


def test_without_ray_the_extra_is_named_and_nothing_is_written(
    tiny_bundle: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("modelwright.runtime.libraries.installed", lambda name: name != "ray")
    words = ["--file", folder, "--out", tmp_path / "out", "--executor", "ray"]
    assert _predict(tiny_bundle, *words) == 2
    said = capsys.readouterr().err
    assert "MW-801" in said
    assert "modelwright[ray]" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words", [["--executor", "rey", "--file", "x"], ["--executor", "ray", "a"]]
)
def test_an_executor_that_cannot_be_used_is_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _predict(tmp_path, *words) == 2
    assert "MW-805" in capsys.readouterr().err
