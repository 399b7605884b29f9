"""`mw push`, `mw pull` and `mw models` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelwright.cli import main as cli


@pytest.fixture(autouse=True)
def _no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)


def test_push_models_set_and_pull(
    bundle: Path, tmp_path: Path, keys: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
):
    url = str(tmp_path / "registry")
    assert cli.run(["push", str(bundle), url, "--key", str(keys[0]), "--json"]) == 0
    version = json.loads(capsys.readouterr().out)["version"]
    assert cli.run(["models", url, "--set", f"intents:{version[:5]}=production"]) == 0
    assert f"intents:{version} is in production" in capsys.readouterr().out
    assert cli.run(["models", url, "intents"]) == 0
    said = capsys.readouterr().out
    assert "production" in said
    assert "signed" in said
    assert cli.run(["pull", "intents@production", url, "-o", str(tmp_path / "o")]) == 0
    assert "not verified" in capsys.readouterr().out
    out = str(tmp_path / "p")
    assert cli.run(["pull", "intents", url, "-o", out, "--key", str(keys[1])]) == 0
    assert "signature verified" in capsys.readouterr().out
    assert cli.run(["models", url, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["models"]
    assert told[0]["stages"] == {"production": version}
    assert cli.run(["models", url, "--set", "intents"]) == 2
    assert "NAME:VERSION=STAGE" in capsys.readouterr().err
    assert cli.run(["models", str(tmp_path / "empty")]) == 0
    assert "empty" in capsys.readouterr().out
