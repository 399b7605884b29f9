"""The parts of the compose file are valid, and run against each other: the real ones."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

Write = Callable[..., Path]
NAME = {"type": "string", "minLength": 1}
NAMES = {"type": "array", "items": NAME, "uniqueItems": True}
SERVICE = {
    "type": "object", "additionalProperties": False, "required": ["image"],
    "properties": {
        "image": NAME, "ports": NAMES, "volumes": NAMES, "cap_drop": NAMES, "security_opt": NAMES,
        "tmpfs": NAMES, "command": NAMES, "entrypoint": {"type": "array", "items": NAME},
        "networks": NAMES, "pull_policy": {"enum": ["never"]},
        "healthcheck": {"type": "object", "required": ["test"], "additionalProperties": False,
                        "properties": {"test": NAMES, "interval": NAME, "timeout": NAME,
                                       "start_period": NAME}},
        "depends_on": NAMES, "extra_hosts": NAMES,
        "read_only": {"type": "boolean"}, "restart": {"enum": ["unless-stopped"]},
        "stop_grace_period": {"pattern": r"^\d+s$"},
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "build": {"type": "object", "required": ["context", "dockerfile"]},
        "deploy": {"type": "object", "properties": {"resources": {
            "type": "object", "additionalProperties": {
                "type": "object", "additionalProperties": False,
                "properties": {"cpus": {"pattern": r"^\d+(\.\d+)?$"},
                               "memory": {"pattern": r"^\d+M$"}}}}}},
    },
}  # fmt: skip
FILE = {
    "type": "object", "additionalProperties": False, "required": ["services"],
    "properties": {
        "name": {"pattern": "^[a-z0-9][a-z0-9_-]*$"}, "volumes": {"type": "object"},
        "networks": {"type": "object", "additionalProperties": {
            "type": "object", "additionalProperties": False,
            "properties": {"internal": {"type": "boolean"}}}},
        "services": {"type": "object", "additionalProperties": SERVICE},
    },
}  # fmt: skip
"""Of the Compose Specification what the file uses."""


def _needs(*programs: str) -> Any:
    gone = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(gone), reason=f"not installed: {', '.join(gone)}")


@pytest.mark.parametrize("records", [False, True])
def test_the_file_keeps_to_the_specification(write: Write, recording: Path, records: bool) -> None:
    folder = write("compose", **({"of": recording} if records else {}))
    found = yaml.safe_load((folder / "compose.yaml").read_text())
    jsonschema.validate(found, FILE)
    services = found["services"]
    beside = {"monitor"} if records else set()
    assert set(services) == {"model", "prometheus", "alertmanager", "grafana"} | beside
    for name, one in services.items():
        assert re.fullmatch(r"[a-z0-9/-]+:v?[0-9a-z.]+", one["image"]), "pinned"
        assert one["read_only"] is True
        assert one["cap_drop"] == ["ALL"]
        assert set(one.get("depends_on", ())) <= set(services)
        if name != "model":
            assert all(port.startswith("127.0.0.1:") for port in one.get("ports", ()))


def test_the_monitor_reads_the_traffic_and_is_asked_by_prometheus_alone(
    write: Write, recording: Path
) -> None:
    folder = write("compose", of=recording)
    found = yaml.safe_load((folder / "compose.yaml").read_text())
    services = found["services"]
    model, monitor = services["model"], services["monitor"]
    assert monitor["image"] == model["image"]
    for held in ("read_only", "cap_drop", "security_opt", "restart"):
        assert monitor[held] == model[held]
    assert "ports" not in monitor
    assert found["networks"] == {"monitor": {"internal": True}}
    inside = {name for name, one in services.items() if "monitor" in one.get("networks", ())}
    assert inside == {"monitor", "prometheus"}
    assert "default" in services["prometheus"]["networks"]
    (mounted,) = [one for one in model["volumes"] if one.startswith("traffic:")]
    assert monitor["volumes"] == [f"{mounted}:ro"]
    words = monitor["entrypoint"]
    assert words[:3] == ["mw", "monitor", "/bundle"]
    assert words[words.index("--traffic") + 1] == mounted.partition(":")[2]
    assert words[words.index("--every") + 1] == "1800"
    assert words[words.index("--host") + 1] == "0.0.0.0"
    assert "9109/metrics" in monitor["healthcheck"]["test"][-1], "the image's asks the service"
    assert monitor["deploy"]["resources"] == {
        "limits": {"cpus": "0.5", "memory": "960M"},
        "reservations": {"cpus": "0.01", "memory": "512M"},
    }


def test_everything_that_is_mounted_is_written_or_made(write: Write, recording: Path) -> None:
    folder = write("compose", of=recording)
    found = yaml.safe_load((folder / "compose.yaml").read_text())
    for one in found["services"].values():
        for volume in one["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("./secrets"):
                assert source[2:] in (folder / "make-secrets.sh").read_text()
            elif source.startswith("./"):
                assert (folder / source).is_dir()
            else:
                assert source in found["volumes"]


@_needs("promtool", "amtool")
def test_rules_and_routes_are_what_their_programs_take(write: Write) -> None:
    folder = write("compose", receiver="http://host.docker.internal:9095/alerts")
    for words in (
        ["promtool", "check", "rules", "prometheus/rules.yml"],
        ["amtool", "check-config", "alertmanager/alertmanager.yml"],
    ):
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    tests = yaml.safe_load((folder / "prometheus/rules_test.yml").read_text())
    assert tests["rule_files"] == ["rules.yml"]
    config = yaml.safe_load((folder / "alertmanager/alertmanager.yml").read_text())
    urls = [hook["url"] for one in config["receivers"] for hook in one.get("webhook_configs", ())]
    assert urls == ["http://host.docker.internal:9095/alerts"]


def test_grafana_is_given_its_source_and_its_dashboard(write: Write) -> None:
    folder = write("compose")
    source = yaml.safe_load(
        (folder / "grafana/provisioning/datasources/prometheus.yaml").read_text()
    )
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    provider = yaml.safe_load(
        (folder / "grafana/provisioning/dashboards/modelwright.yaml").read_text()
    )
    where = provider["providers"][0]["options"]["path"]
    mounts = yaml.safe_load((folder / "compose.yaml").read_text())["services"]["grafana"]["volumes"]
    assert f"./grafana/dashboards:{where}:ro" in mounts
    board = json.loads((folder / "grafana/dashboards/tiny.json").read_text())
    assert board["panels"]


@_needs("prometheus", "prometheus-alertmanager")
@pytest.mark.slow
def test_service_prometheus_and_alertmanager_run_against_each_other(
    write: Write, recording: Path, tmp_path: Path
) -> None:
    """The written files, with names of containers replaced by places on this machine."""
    folder = write("compose", of=recording)
    _make_secrets(folder)
    with ExitStack() as stack:
        service = stack.enter_context(_service(folder, tmp_path / "traffic"))
        monitor = stack.enter_context(_monitor(folder, tmp_path))
        ports = {"alertmanager:9093": _free(), "prometheus": _free()}
        config = (folder / "prometheus/prometheus.yml").read_text()
        config = config.replace("/run/secrets/modelwright", str(folder / "secrets"))
        config = config.replace("model:8000", f"127.0.0.1:{service}").replace("15s", "1s")
        config = config.replace("monitor:9109", f"127.0.0.1:{monitor}")
        config = config.replace("alertmanager:9093", f"127.0.0.1:{ports['alertmanager:9093']}")
        (folder / "prometheus/prometheus.yml").write_text(config)
        stack.enter_context(_running(tmp_path, "prometheus-alertmanager", [
            f"--config.file={folder / 'alertmanager/alertmanager.yml'}",
            f"--storage.path={tmp_path / 'alertmanager'}", "--cluster.listen-address=",
            f"--web.listen-address=127.0.0.1:{ports['alertmanager:9093']}",
        ]))  # fmt: skip
        stack.enter_context(_running(tmp_path, "prometheus", [
            f"--config.file={folder / 'prometheus/prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
        ]))  # fmt: skip
        ask = f"http://127.0.0.1:{ports['prometheus']}/api/v1"
        up = _eventually(
            f'{ask}/query?query=up{{job="tiny"}}', lambda found: found["data"]["result"]
        )
        assert up["data"]["result"][0]["value"][1] == "1", "scraped with the key of its own"
        watched = _eventually(
            f'{ask}/query?query=modelwright_monitor_period_seconds{{job="tiny-monitor"}}',
            lambda found: found["data"]["result"],
        )
        (series,) = watched["data"]["result"]
        assert (series["metric"]["model"], series["value"][1]) == ("tiny", "1800")
        ready = _eventually(
            f'{ask}/query?query=modelwright_ready{{model="tiny"}}',
            lambda found: found["data"]["result"],
        )
        assert ready["data"]["result"][0]["value"][1] == "1"
        known = _eventually(
            f"{ask}/alertmanagers", lambda found: found["data"]["activeAlertmanagers"]
        )
        assert str(ports["alertmanager:9093"]) in known["data"]["activeAlertmanagers"][0]["url"]
        rules = _eventually(
            f"{ask}/rules",
            lambda found: all(
                rule["health"] == "ok"
                for group in found["data"]["groups"]
                if group["interval"] == 1  # others have longer ones of their own
                for rule in group["rules"]
            ),
        )
        assert len(rules["data"]["groups"]) > 3


def _make_secrets(folder: Path) -> None:
    """As `make-secrets.sh` does, with the `mw` of this environment."""
    binaries = folder.parent / "bin"
    binaries.mkdir()
    (binaries / "mw").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m modelwright "$@"\n')
    (binaries / "mw").chmod(0o755)
    done = subprocess.run(
        ["sh", str(folder / "make-secrets.sh")],
        env={**_environment(), "PATH": f"{binaries}:/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = {path.relative_to(folder).as_posix() for path in (folder / "secrets").rglob("*.*")}
    assert made == {
        "secrets/predict.key", "secrets/metrics.key", "secrets/grafana.key",
        "secrets/service/keys.json",
    }  # fmt: skip


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "OMP_NUM_THREADS": "1"}


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _service(folder: Path, traffic: Path) -> Iterator[int]:
    words = [
        sys.executable,
        "-m",
        "modelwright",
        "serve",
        str(folder / "image/bundle"),
        "--port",
        "0",
    ]
    words += ["--keys", str(folder / "secrets/service/keys.json"), "--json"]
    words += ["--traffic", str(traffic)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=_environment()
    ) as process:
        try:
            assert process.stdout is not None
            yield int(json.loads(process.stdout.readline())["url"].rpartition(":")[2])
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def _monitor(folder: Path, place: Path) -> Iterator[int]:
    """The monitor by its own words, at a free port."""
    services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    there = {
        "/bundle": str(folder / "image/bundle"), "/var/lib/modelwright": str(place / "traffic"),
        "0.0.0.0": "127.0.0.1", "9109": str(port := _free()),
    }  # fmt: skip
    _, *words = (there.get(word, word) for word in services["monitor"]["entrypoint"])
    with _running(place, sys.executable, ["-m", "modelwright", *words], _environment()):
        yield port


@contextmanager
def _running(
    folder: Path, program: str, words: list[str], environment: dict[str, str] | None = None
) -> Iterator[None]:
    with (folder / f"{Path(program).name}.log").open("w") as log:
        process = subprocess.Popen([program, *words], stdout=log, stderr=log, env=environment)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def _eventually(url: str, holds: Callable[[Any], Any], within: float = 30.0) -> Any:
    """What an address tells, once it holds."""
    until = time.monotonic() + within
    found: Any = None
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                found = json.load(answer)
            if holds(found):
                return found
        except (OSError, KeyError):
            pass
        time.sleep(0.2)
    raise AssertionError(f"{url} told {str(found)[:500]}")
