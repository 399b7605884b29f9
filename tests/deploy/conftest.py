"""What the tests of deployment share: a measured capacity, a policy, the files of every target."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelwright.artifacts.bundle import content_version, read_bundle
from modelwright.artifacts.capacity import Capacity, Load
from modelwright.deploy import deploy
from modelwright.deploy.ordering import Choices
from modelwright.deploy.policy import Policy

POLICY = Policy(
    minimum=1, maximum=12, target=8.0, up_seconds=15.0, down_seconds=300.0, up_factor=2.0
)
Write = Callable[..., Path]


def capacity_of(bundle: Path) -> Capacity:
    """What a replica of a bundle might have been measured to do."""
    manifest = read_bundle(bundle)
    return Capacity(
        bundle=manifest["name"],
        version=manifest["version"],
        variant=manifest["default"],
        machine="a processor (avx2)",
        cores=2,
        slo_p99_ms=50.0,
        per_second=200.0,
        loads=(
            Load(rate=100.0, answered=1.0, p50_ms=5.0, p99_ms=20.0, queue=0.1, cpu=0.9),
            Load(rate=200.0, answered=1.0, p50_ms=9.0, p99_ms=45.0, queue=1.5, cpu=1.72),
            Load(rate=250.0, answered=0.9, p50_ms=80.0, p99_ms=300.0, queue=9.0, cpu=1.95),
        ),
        memory_mb=300.0,
        ready_seconds=2.5,
    )


@pytest.fixture(scope="session")
def policy() -> Policy:
    """A usual one."""
    return POLICY


@pytest.fixture
def changed_bundle(tiny_bundle: Path, tmp_path: Path) -> Callable[..., Path]:
    """changed_bundle(serve={...}) -> a copy of the tiny bundle whose manifest says so."""

    def change(**changes: Any) -> Path:
        folder = tmp_path / "changed"
        shutil.copytree(tiny_bundle, folder)
        manifest = json.loads((folder / "bundle.json").read_text())
        (folder / "bundle.json").write_text(json.dumps(manifest | changes))
        return folder

    return change


@pytest.fixture
def recording(tiny_bundle: Path, tmp_path: Path) -> Path:
    """The tiny bundle as a recipe that records makes it, checked every half hour."""
    return recording_bundle(tiny_bundle, tmp_path / "recording")


@pytest.fixture(scope="session")
def make_recording() -> Callable[..., Path]:
    """make_recording(bundle, folder, every_s=5.0)"""
    return recording_bundle


def recording_bundle(bundle: Path, folder: Path, every_s: float = 1_800.0) -> Path:
    """A copy that is whole, with a version of its own."""
    shutil.copytree(bundle, folder)
    record = {"share": 1.0, "inputs": True}
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["serve"]["record"], manifest["monitor"]["every_s"] = record, every_s
    manifest["version"] = content_version(manifest)
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="session")
def capacity(tiny_bundle: Path) -> Capacity:
    """Of the tiny bundle."""
    return capacity_of(tiny_bundle)


@pytest.fixture
def write(tiny_bundle: Path, tmp_path: Path) -> Write:
    """write("docker", image="a:1") -> the folder that `mw deploy` wrote."""

    def write_it(target: str, *, folder: str = "out", **changes: Any) -> Path:
        bundle = changes.pop("of", tiny_bundle)
        values = capacity_of(bundle)
        known = {name: changes.pop(name) for name in list(changes) if hasattr(values, name)}
        policy = changes.pop("policy", POLICY)
        force = changes.pop("force", False)
        replace(values, **known).save(tmp_path / "capacity.json")
        policy.save(tmp_path / "policy.json")
        files = {"capacity": tmp_path / "capacity.json", "policy": tmp_path / "policy.json"}
        deploy(bundle, target, tmp_path / folder, Choices(**changes, **files), force=force)
        return tmp_path / folder

    return write_it
