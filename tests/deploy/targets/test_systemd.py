"""The unit is one that systemd accepts, is held tightly, and its installer is a sound script."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., Path]
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze, which checks units, is missing",
)


@pytest.fixture
def unit(write: Write) -> Path:
    """The unit with a program that is there in place of the one that install.sh puts there."""
    path = write("systemd") / "modelwright-tiny.service"
    path.write_text(
        re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", path.read_text(), flags=re.MULTILINE)
    )
    return path


@needs_systemd
def test_systemd_finds_nothing_wrong_with_it(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_the_monitors_unit_is_sound_and_held_as_tightly(write: Write, recording: Path) -> None:
    folder = write("systemd", of=recording)
    units = [folder / f"modelwright-tiny{end}.service" for end in ("", "-monitor")]
    for path in units:
        text = re.sub(
            r"^ExecStart=\S+", "ExecStart=/bin/true", path.read_text(), flags=re.MULTILINE
        )
        path.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, units)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(units[1])],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) < 2.5


def _settings(unit: Path) -> dict[str, str]:
    text = unit.read_text().replace("\\\n", "")
    return dict(line.split("=", 1) for line in text.splitlines() if re.match(r"[A-Z]\w+=", line))


@pytest.mark.parametrize("name", ["tiny", "a-name-of-more-letters-than-users-may-be"])
def test_the_monitor_reads_what_the_service_keeps_and_is_installed_with_it(
    write: Write, recording: Path, name: str
) -> None:
    path = recording / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": name}))
    folder = write("systemd", of=recording)
    units = [f"modelwright-{name}.service", f"modelwright-{name}-monitor.service"]
    service, monitor = (_settings(folder / unit) for unit in units)
    assert service["User"] == monitor["User"], "the traffic is for its owner alone"
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,30}", service["User"])
    kept = service["StateDirectory"]
    assert f"--traffic %S/{kept}" in service["ExecStart"]
    source, seen = monitor["BindReadOnlyPaths"].split(":")
    assert source == f"%S/private/{kept}", "where systemd keeps it for a dynamic user"
    words = monitor["ExecStart"].split()
    assert words[1:3] == ["monitor", f"/opt/modelwright/{name}/current/bundle"]
    assert words[words.index("--traffic") + 1] == seen
    assert words[words.index("--host") + 1] == "127.0.0.1", "it asks for no key"
    assert words[words.index("--every") + 1] == "1800"
    assert "StateDirectory" not in monitor
    assert monitor["PartOf"] == units[0]
    install = (folder / "install.sh").read_text()
    for word in ("enable", "restart", "install -m 644"):
        assert f"{word} {units[0]} {units[1]}" in install


def test_nothing_is_watched_where_nothing_is_recorded(write: Write) -> None:
    folder = write("systemd")
    assert not list(folder.glob("*-monitor.service"))
    assert "monitor" not in (folder / "install.sh").read_text()


@needs_systemd
def test_systemd_judges_it_held_tightly(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) < 2.5


def test_limits_come_from_the_measurement(write: Write) -> None:
    text = (write("systemd") / "modelwright-tiny.service").read_text()
    assert "CPUQuota=200%" in text
    assert "MemoryMax=640M" in text
    assert "LoadCredential=keys.json:/opt/modelwright/tiny/keys.json" in text


def test_the_installer_is_a_sound_script_that_installs_what_is_beside_it(write: Write) -> None:
    folder = write("systemd")
    assert subprocess.run(["sh", "-n", str(folder / "install.sh")], check=False).returncode == 0
    assert (
        subprocess.run(["sh", "-n", str(folder / "make-secrets.sh")], check=False).returncode == 0
    )
    text = (folder / "install.sh").read_text()
    assert "/opt/modelwright/tiny/current" in text
    assert (folder / "bundle" / "bundle.json").is_file()
    assert list((folder / "wheels").glob("modelwright-*.whl"))
