"""The unit is one that systemd accepts, is held tightly, and its installer is a sound script."""

from __future__ import annotations

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
