"""The image is built and answers; the Deployment is run as a cluster would run it. By podman.

No registry is asked: the base image is made of this machine's Python, and the libraries lie beside
the Containerfile (`--offline`). Everything goes into a folder of its own and is taken away again.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelwright.artifacts.bundle import read_bundle
from modelwright.artifacts.capacity import Capacity
from modelwright.deploy import deploy
from modelwright.deploy.ordering import Choices
from modelwright.deploy.policy import Policy

BASE = "localhost/python-of-this-machine:1"
IMAGE, RECORDING = "localhost/tiny:1", "localhost/tiny-that-records:1"
MOST_MB = 350
"""Of an image without the model; the base made here is smaller or larger than the official one by
a few tens."""
_LEFT_OUT = {
    "test",
    "tests",
    "idlelib",
    "turtledemo",
    "tkinter",
    "lib2to3",
    "__pycache__",
    "ensurepip",
}
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Podman:
    """podman with storage of its own."""

    folder: Path
    driver: str

    def run(self, *words: str, check: bool = True, timeout: float = 240) -> str:
        """What it prints; fails with what it said on stderr."""
        command = [
            "podman", f"--storage-driver={self.driver}", "--runtime=runc", "--cgroup-manager=cgroupfs",
            "--events-backend=file", f"--root={self.folder / 'root'}",
            f"--runroot={self.folder / 'run'}", f"--tmpdir={self.folder / 'tmp'}", *words,
        ]  # fmt: skip
        environment = {**os.environ, "CONTAINERS_CONF": str(self.folder.parent / "containers.conf")}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=timeout, env=environment
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"podman {' '.join(words[:3])}: {done.stderr[-2000:]}")
        return done.stdout + (done.stderr if words[0] == "logs" else "")


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """podman that can run a container here; skips with the reason where it cannot."""
    for program in ("podman", "runc", "catatonit"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install podman runc catatonit")
    if os.geteuid() != 0:
        pytest.skip("podman is tried as root alone")
    folder = tmp_path_factory.mktemp("podman")
    limits = '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n'
    (folder / "containers.conf").write_text(limits)
    found, why = None, ""
    for driver in ("overlay", "vfs"):  # the second works everywhere, and copies everything
        found = Podman(folder / driver, driver)
        found.folder.mkdir()
        try:
            _import_base(found, folder)
            found.run("run", "--rm", "--network=host", BASE, "/usr/local/bin/python", "-c", "1")
            break
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            found, why = None, str(error)
    if found is None:
        pytest.skip(f"podman cannot run a container on this machine: {why}")
    yield found
    found.run("pod", "rm", "--all", "--force", check=False)
    found.run("rm", "--all", "--force", "--time=0", check=False)
    found.run("rmi", "--all", "--force", check=False)


def _import_base(podman: Podman, folder: Path) -> None:
    """An image of this Python, a shell and what the two need; or of the archive of a root folder
    that MODELWRIGHT_BASE_TAR names, such as the official image's."""
    if given := os.environ.get("MODELWRIGHT_BASE_TAR"):
        podman.run("import", given, BASE)
        return
    archive = folder / "base.tar"
    with tarfile.open(archive, "w") as tar:
        _add_python(tar)
        programs = ["sh", "sleep", "find", "rm", "mkdir", "env"]
        paths = [path for path in map(shutil.which, programs) if path]
        for path in paths:
            tar.add(os.path.realpath(path), f"usr/bin/{Path(path).name}")
        for library in sorted(_libraries(paths)):
            tar.add(os.path.realpath(library), f"lib/x86_64-linux-gnu/{Path(library).name}")
        _add_folders(tar)
    podman.run("import", str(archive), BASE)
    archive.unlink()


def _add_python(tar: tarfile.TarFile) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    stdlib = Path(sysconfig.get_path("stdlib"))

    def wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        name = Path(entry.name).name
        unwanted = name in _LEFT_OUT or name.startswith("config-") or name == "site-packages"
        return None if unwanted else entry

    tar.add(os.path.realpath(sys.executable), f"usr/local/bin/{version}")
    for link in ("python", "python3"):
        _link(tar, f"usr/local/bin/{link}", version)
    tar.add(stdlib, f"usr/local/lib/{version}", filter=wanted)
    pip = importlib.util.find_spec("pip")  # importing it would touch distutils
    assert pip is not None
    assert pip.origin is not None

    tar.add(Path(pip.origin).parent, f"usr/local/lib/{version}/site-packages/pip", filter=wanted)


def _libraries(programs: list[str]) -> set[str]:
    """Shared libraries of programs, of Python, of its modules and of the wheels' modules."""
    modules = Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("*.so")
    site = Path(sysconfig.get_path("platlib"))
    wheels = [*site.glob("onnxruntime/capi/*.so"), *site.glob("numpy/_core/*.so")]
    wheels += [*site.glob("pyarrow/*.so*")]
    everything = [
        *programs,
        os.path.realpath(sys.executable),
        *map(str, modules),
        *map(str, wheels),
    ]
    done = subprocess.run(["ldd", *everything], capture_output=True, text=True, check=False)
    found = {word for word in done.stdout.split() if word.startswith("/") and ".so" in word}
    return {path for path in found if os.path.isfile(path) and not path.startswith(str(site))} | {
        "/lib64/ld-linux-x86-64.so.2"
    }


def _add_folders(tar: tarfile.TarFile) -> None:
    for name, mode in (("tmp", 0o1777), ("etc", 0o755), ("proc", 0o755), ("run", 0o755)):
        folder = tarfile.TarInfo(name)
        folder.type, folder.mode = tarfile.DIRTYPE, mode
        tar.addfile(folder)
    _link(tar, "bin", "usr/bin")
    _link(tar, "lib64", "lib/x86_64-linux-gnu")


def _link(tar: tarfile.TarFile, name: str, to: str) -> None:
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.SYMTYPE, to
    tar.addfile(link)


@pytest.fixture(scope="module")
def written(
    tiny_bundle: Path,
    capacity: Capacity,
    policy: Policy,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The files for a cluster, those of the image among them, and the keys."""
    return _written(tiny_bundle, IMAGE, tmp_path_factory.mktemp("files"), (capacity, policy))


def _written(bundle: Path, image: str, folder: Path, numbers: tuple[Capacity, Policy]) -> Path:
    capacity, policy = numbers
    capacity.save(folder / "capacity.json")
    policy.save(folder / "policy.json")
    files = {"capacity": folder / "capacity.json", "policy": folder / "policy.json"}
    choices = Choices(image=image, offline=True, **files)
    deploy(bundle, "kubernetes", folder / "out", choices)
    (folder / "mw").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m modelwright "$@"\n')
    (folder / "mw").chmod(0o755)
    subprocess.run(
        ["sh", str(folder / "out/make-secrets.sh")], check=True, capture_output=True,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
    )  # fmt: skip
    return folder / "out"


@pytest.fixture(scope="module")
def image(podman: Podman, written: Path) -> str:
    """Built as the README says, from the base of this machine and without any network."""
    return _built(podman, IMAGE, written)


def _built(podman: Podman, name: str, written: Path) -> str:
    podman.run(
        "build", "--layers=false", "--network=none", "--format=docker",
        f"--build-arg=PYTHON_IMAGE={BASE}", "-t", name,
        "-f", str(written / "image/Containerfile"), str(written / "image"), timeout=600,
    )  # fmt: skip
    return name


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _ask(port: int, path: str, key: str = "", body: Any = None) -> tuple[int, Any]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if key:
        request.add_header("authorization", f"Bearer {key}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def _ready(port: int, within: float = 60) -> None:
    until = time.monotonic() + within
    while True:
        try:
            if _ask(port, "/health/ready")[0] == 200:
                return
        except OSError:
            pass
        assert time.monotonic() < until, "it did not become ready"
        time.sleep(0.1)


def _answers(port: int, written: Path) -> None:
    """With a key it predicts and with the other it tells metrics; without one it does neither."""
    predict, metrics = (
        (written / f"secrets/{name}.key").read_text() for name in ("predict", "metrics")
    )
    status, text = _ask(port, "/v1/predict", predict, {"inputs": ["where is my gift card"]})
    assert status == 200
    assert json.loads(text)["predictions"][0]["label"]
    assert _ask(port, "/v1/predict", "", {"inputs": ["a"]})[0] == 401
    assert _ask(port, "/metrics", predict)[0] == 403
    assert "modelwright_ready" in _ask(port, "/metrics", metrics)[1]


def test_the_image_is_lean_and_its_model_is_a_layer_of_its_own(
    podman: Podman, image: str, written: Path
) -> None:
    about = json.loads(podman.run("image", "inspect", image))[0]
    bundle = sum(path.stat().st_size for path in (written / "image/bundle").rglob("*"))
    without = (about["Size"] - bundle) / 1e6
    print(f"image without the model: {without:.0f} MB")
    assert without < MOST_MB
    assert about["Config"]["User"] == "10001:10001"
    check = about.get("Healthcheck") or about["Config"]["Healthcheck"]
    assert check["Test"][0] == "CMD"


def test_the_container_answers_held_as_the_readme_says(
    podman: Podman, image: str, written: Path
) -> None:
    port = _free()
    podman.run(
        "run", "-d", "--name", "tiny", "--network=bridge", "-p", f"127.0.0.1:{port}:8000",
        "-v", f"{written / 'secrets/service'}:/run/secrets/modelwright:ro",
        "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--cpus", "1", "--memory", "640m", image,
    )  # fmt: skip
    _ready(port)
    _answers(port, written)
    threads = podman.run("exec", "tiny", "python", "-c",
                         "from modelwright.runtime.machine import cores; print(cores())")  # fmt: skip
    assert threads.strip() == "1", "the container's share of the processors is kept to"
    podman.run("healthcheck", "run", "tiny")
    podman.run("stop", "--time=40", "tiny")
    assert podman.run("inspect", "tiny", "--format", "{{.State.ExitCode}}").strip() == "0"
    podman.run("rm", "tiny")


def test_without_keys_it_does_not_start(podman: Podman, image: str) -> None:
    done = podman.run("run", "--rm", "--network=none", image, check=False)
    assert "ready" not in done


def test_the_deployment_of_the_cluster_runs(
    podman: Podman, image: str, written: Path, tmp_path: Path
) -> None:
    """The written Deployment with two changes: a port of this machine, and the keys' folder in place
    of the secret, which podman's older releases do not decode."""
    deployment = yaml.safe_load((written / "base/deployment.yaml").read_text())
    port = _free()
    pod = deployment["spec"]["template"]["spec"]
    pod["containers"][0]["ports"][0] |= {"hostPort": port, "hostIP": "127.0.0.1"}
    assert pod["volumes"][0]["name"] == "keys"
    pod["volumes"][0] = {"name": "keys", "hostPath": {"path": str(written / "secrets/service")}}
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(deployment))
    podman.run("play", "kube", "--network=bridge", str(tmp_path / "deployment.yaml"))
    _ready(port)
    _answers(port, written)
    podman.run("play", "kube", "--down", str(tmp_path / "deployment.yaml"))


@pytest.mark.timeout(900)
def test_the_monitor_runs_beside_the_model_in_one_pod(
    podman: Podman,
    tiny_bundle: Path,
    make_recording: Callable[..., Path],
    capacity: Capacity,
    policy: Policy,
    tmp_path: Path,
) -> None:
    """An image of a bundle that records, with the libraries that such an image is given."""
    bundle = make_recording(tiny_bundle, tmp_path / "bundle", every_s=2.0)
    measured = replace(capacity, version=read_bundle(bundle)["version"])
    written = _written(bundle, RECORDING, tmp_path, (measured, policy))
    _built(podman, RECORDING, written)
    deployment = yaml.safe_load((written / "base/deployment.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    ports = [_free(), _free()]
    for container, port in zip(pod["containers"], ports, strict=True):
        container["ports"][0] |= {"hostPort": port, "hostIP": "127.0.0.1"}
    pod["volumes"][0] = {"name": "keys", "hostPath": {"path": str(written / "secrets/service")}}
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(deployment))
    podman.run("play", "kube", "--network=bridge", str(tmp_path / "deployment.yaml"))
    try:
        _ready(ports[0])
        key = (written / "secrets/predict.key").read_text()
        inputs = ["where is my gift card", "please close my account", "it is late"] * 40
        assert _ask(ports[0], "/v1/predict", key, {"inputs": inputs})[0] == 200
        names = podman.run("ps", "--format", "{{.Names}}").split()
        container = next(name for name in names if name.endswith("monitor"))
        told = _told(ports[1], "modelwright_drift_score{")
        assert told, podman.run("logs", container)[-500:]
        assert 'modelwright_drift_rows{model="tiny"} 120.0' in told
        assert 'signal="embedding"' in told, "the model was opened"
        assert 'modelwright_monitor_period_seconds{model="tiny"} 2.0' in told
        write = "open('/var/lib/modelwright/x', 'w')"
        with pytest.raises(RuntimeError, match="Read-only file system"):
            podman.run("exec", container, "python", "-c", write)
    finally:
        podman.run("play", "kube", "--down", str(tmp_path / "deployment.yaml"))


def _told(port: int, start: str, within: float = 120) -> str:
    """What the monitor tells once it has a line of this start, "" if it never does; traffic is
    written twice a minute."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if f"\n{start}" in (text := _ask(port, "/metrics")[1]):
                return text
        time.sleep(0.5)
    return ""
