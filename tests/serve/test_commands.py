"""`mw predict` and `mw serve` as a user types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelwright import engines
from modelwright.cli import main as cli
from modelwright.errors import UserError
from modelwright.testing.doubles import FakeBundle, fake_image

SOURCE = Path(__file__).parents[2] / "src"


class Opener:
    """Stands where `Bundle` does; opens the fake that a test chose."""

    bundle = FakeBundle()

    @classmethod
    def open(cls, path: Any, variant: str | None = None, threads: int | None = None) -> FakeBundle:
        if variant:
            raise UserError("MW-605", f"the bundle has no variant `{variant}`")
        return cls.bundle


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> type[Opener]:
    monkeypatch.setattr(engines, "Bundle", Opener, raising=False)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    Opener.bundle = FakeBundle()
    return Opener


def test_texts_are_answered_one_a_line_or_as_json(capsys: pytest.CaptureFixture[str]):
    assert cli.run(["predict", "b", "my card is lost", "hello"]) == 0
    lines = capsys.readouterr().out.splitlines()
    expected = FakeBundle().predict(["my card is lost", "hello"])
    assert len(lines) == 2
    assert expected[0]["label"] in lines[0]
    assert "hello" in lines[1]
    assert cli.run(["predict", "b", "my card is lost", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["predictions"] == expected[:1]


def test_pairs_and_images_are_arguments_too(
    opened: type[Opener], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    import base64

    opened.bundle = FakeBundle(pair=True)
    assert cli.run(["predict", "b", "one", "two"]) == 0
    assert "one <> two" in capsys.readouterr().out
    assert cli.run(["predict", "b", "one"]) == 2
    opened.bundle = FakeBundle(task="image-classification")
    (tmp_path / "a.png").write_bytes(base64.b64decode(fake_image()))
    assert cli.run(["predict", "b", str(tmp_path / "a.png")]) == 0
    assert cli.run(["predict", "b", str(tmp_path / "none.png")]) == 2
    assert "MW-804" in capsys.readouterr().err


def test_a_file_gives_totals_on_stderr_or_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "in.csv").write_text("text\na\n\nb\n")
    out = str(tmp_path / "out.csv")
    assert cli.run(["predict", "b", "--file", str(tmp_path / "in.csv"), "--out", out]) == 0
    said = capsys.readouterr()
    assert "3 in, 2 predicted, 1 rejected" in said.err
    assert not said.out
    assert (
        cli.run(["predict", "b", "--file", str(tmp_path / "in.csv"), "--out", out, "--json"]) == 0
    )
    totals = json.loads(capsys.readouterr().out)
    assert (totals["in"], totals["predicted"], totals["rejected"]) == (3, 2, 1)


def test_a_file_of_which_no_row_is_answered_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "in.csv").write_text('text\n" "\n""\n')
    asked = ["predict", "b", "--file", str(tmp_path / "in.csv"), "--out", str(tmp_path / "o.csv")]
    assert cli.run(asked) == 2
    assert "0 predicted, 2 rejected" in capsys.readouterr().err
    (tmp_path / "in.csv").write_text("text\n")
    assert cli.run([*asked[:-1], str(tmp_path / "none.csv")]) == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["a", "--file", "x.csv"], "MW-805"),
        (["--file", "x.csv", "--format", "cvs"], "MW-805"),
        (["--file", "none.csv"], "MW-804"),
        (["a", "--variant", "int9"], "MW-605"),
        ([""], "MW-606"),
    ],
)
def test_mistakes_exit_2_with_their_code(
    arguments: list[str], code: str, capsys: pytest.CaptureFixture[str]
):
    assert cli.run(["predict", "b", *arguments]) == 2
    assert code in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["serve", "predict"])
def test_help_needs_no_server_library(verb: str):
    code = (
        "import sys; from modelwright.cli.main import run; "
        f"run([{verb!r}, '--help']); "
        "heavy = {'starlette', 'uvicorn', 'prometheus_client', 'numpy', 'torch'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    assert "--json" in found.stdout
    assert found.stdout.splitlines()[-1] == "[]"


def test_serving_nothing_or_what_is_no_bundle_is_told(capsys: pytest.CaptureFixture[str]):
    assert cli.run(["serve"]) == 2
    assert cli.run(["serve", "b", "--port", "99999"]) == 2
    assert "MW-805" in capsys.readouterr().err
