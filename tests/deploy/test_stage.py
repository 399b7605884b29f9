"""`mw deploy`: from a bundle and two files to a folder, the same each time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from modelwright import plugs
from modelwright.cli import main
from modelwright.deploy.policy import Policy
from modelwright.errors import UserError

Write = Callable[..., Path]


def _bytes(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("target", plugs.names("target"))
def test_written_twice_it_is_the_same_byte_for_byte(write: Write, target: str) -> None:
    assert _bytes(write(target, folder="a")) == _bytes(write(target, folder="b"))


def test_the_folder_holds_what_it_was_made_from(
    tiny_bundle: Path, write: Write, tmp_path: Path
) -> None:
    first = write("docker")
    words = ["deploy", str(tiny_bundle), "--target", "docker", "-o", str(tmp_path / "again")]
    words += ["--capacity", str(first / "capacity.json"), "--policy", str(first / "policy.json")]
    assert main.run(words) == 0
    assert _bytes(first) == _bytes(tmp_path / "again")


@pytest.mark.parametrize("target", plugs.names("target"))
def test_a_policy_that_a_place_follows_is_followed_again_as_it_is(target: str) -> None:
    plug = plugs.load("target", target)
    follows = plug.cls(plug.config()).follows
    asked = Policy(
        minimum=0, up_gain=0.5, down_gain=0.5, look_back_seconds=7.0, metrics_seconds=20.0
    )
    assert follows(follows(asked)) == follows(asked)
    assert follows(Policy()).target == Policy().target


def test_another_target_into_the_same_folder_leaves_nothing_of_the_first(write: Write) -> None:
    write("systemd")
    folder = write("docker")
    assert not list(folder.glob("*.service"))
    assert (folder / "Containerfile").is_file()


def test_the_command_tells_what_to_do_next(
    tiny_bundle: Path, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write("docker")
    words = ["deploy", str(tiny_bundle), "-t", "systemd", "-o", str(tmp_path / "unit"), "--json"]
    words += ["--capacity", str(first / "capacity.json"), "--policy", str(first / "policy.json")]
    assert main.run(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["commands"][1] == "sudo sh install.sh"
    assert "modelwright-tiny.service" in said["files"]


def test_a_bundle_is_never_written_into(tiny_bundle: Path, write: Write) -> None:
    with pytest.raises(UserError) as failed:
        write("docker", folder=str(tiny_bundle / "deploy"))
    assert failed.value.problem.code == "MW-805"
    assert not (tiny_bundle / "deploy").exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["-t", "kubernets", "-o", "x"], "MW-105"),
        (["-t", "docker", "-o", "x", "--capacity", "gone.json"], "MW-620"),
        (["-t", "docker", "-o", "x", "--capacity", "CAPACITY", "--policy", "gone.json"], "MW-621"),
        (["-t", "docker", "-o", "x", "--capacity", "CAPACITY", "--policy", "POLICY", "--image",
          "A B"], "MW-622"),
        (["-t", "docker", "-o", "x", "--capacity", "CAPACITY", "--policy", "POLICY", "--slo",
          "-1"], "MW-622"),
        (["-t", "docker", "-o", "x", "--capacity", "CAPACITY", "--policy", "POLICY", "--alerts",
          "ftp://a"], "MW-622"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_code_and_nothing_is_written(
    words: list[str], code: str, tiny_bundle: Path, write: Write, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    first = write("docker")
    monkeypatch.chdir(tmp_path)
    known = {"CAPACITY": str(first / "capacity.json"), "POLICY": str(first / "policy.json")}
    words = [known.get(word, word) for word in words]
    assert main.run(["deploy", str(tiny_bundle), *words]) == 2
    assert code in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_what_is_reserved_for_a_monitor_speaks_of_the_monitor_that_runs():
    """A stage does not import another one, so both say it."""
    import inspect

    from modelwright.cli.monitor import command
    from modelwright.deploy import beside
    from modelwright.monitor import stage

    assert beside.MOST_VECTORS == stage.MOST_VECTORS
    assert inspect.signature(command).parameters["port"].default == beside.MONITOR_PORT
