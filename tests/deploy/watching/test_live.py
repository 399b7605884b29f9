"""A real Prometheus scrapes a real service, and a real Alertmanager delivers what it finds."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwright.artifacts.bundle import read_bundle
from modelwright.deploy import watching
from modelwright.recipe.schema import Slo
from modelwright.serve._keys import SCOPES, new_key, write_keys
from modelwright.testing.watched import Receiver, Server, alertmanager, program, prometheus

SOURCE = Path(__file__).parents[3] / "src"
SLO = Slo(p99_ms=100.0)
FASTER = 60.0
"""Five minutes become five seconds."""
pytestmark = [
    pytest.mark.skipif(
        not (program("prometheus") and program("alertmanager")),
        reason="needs prometheus and alertmanager",
    ),
    pytest.mark.timeout(300),
]
ELSEWHERE = re.compile("kube_|drift_|monitor_|live_quality_|quality_floor|estimated_quality")
"""Told by `mw monitor` and kube-state-metrics, which do not run here."""


@dataclass
class Watched:
    """A service with everything around it."""

    url: str
    admin: str
    key: str
    server: Server
    receiver: Receiver

    def ask(self, inputs: list[str], **headers: str) -> httpx.Response:
        given = {"authorization": f"Bearer {self.key}", **headers}
        return httpx.post(
            f"{self.url}/v1/predict", json={"inputs": inputs}, headers=given, verify=False,
            timeout=60,
        )  # fmt: skip

    def change(self, name: str, body: dict[str, Any]) -> httpx.Response:
        return httpx.post(
            f"{self.admin}/admin/models/{name}", json=body, headers={"x-api-key": self.key},
            verify=False, timeout=60,
        )  # fmt: skip


@pytest.fixture(scope="module")
def watched(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    shutil.copytree(tiny_bundle, folder / "bundles" / "new")
    broken = shutil.copytree(tiny_bundle, folder / "bundles" / "broken")
    (broken / "golden.jsonl").write_text("{}\n")
    key, kept = new_key("all", SCOPES, 0, "")
    write_keys(folder / "keys.json", [kept])
    cert, private = certificate(folder)
    command = [
        *(sys.executable, "-m", "modelwright", "serve", str(tiny_bundle), "--port", "0", "--json"),
        *("--keys", str(folder / "keys.json"), "--tls-cert", str(cert), "--tls-key", str(private)),
        *("--admin-port", "0", "--bundles", str(folder / "bundles")),
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    try:
        ready = json.loads(process.stdout.readline())
        address = ready["url"].removeprefix("https://")
        scrape = {
            "job_name": "tiny", "scheme": "https", "tls_config": {"insecure_skip_verify": True},
            "authorization": {"credentials": key}, "static_configs": [{"targets": [address]}],
        }  # fmt: skip
        rules = watching.hastened(watching.rules(read_bundle(tiny_bundle), SLO), FASTER, least=4)
        with Receiver() as receiver:
            content = watching.alertmanager(receiver.url)
            with (
                alertmanager(folder / "alertmanager", content, FASTER) as sender,
                prometheus(folder / "prometheus", rules, [scrape], sender) as server,
            ):
                yield Watched(ready["url"], ready["admin"], key, server, receiver)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of this machine that ends in sixty days."""
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 60 "
        "-subj /CN=localhost -keyout key.pem -out cert.pem"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def some_traffic(watched: Watched) -> None:
    """A trial with a shadow, failures of every kind, and true answers."""
    assert watched.change("tiny", {"bundle": "broken"}).status_code == 422
    assert watched.change("tiny", {"bundle": "new", "as": "shadow"}).status_code == 200
    told = {"bundle": "new", "as": "canary", "share": 0.5}
    assert watched.change("tiny", told).status_code == 200
    watched.server.until("modelwright_ready == 1")
    for number in range(3):
        for _ in range(20):
            answer = watched.ask(["where is my parcel", "I want my money back please"])
            assert answer.status_code == 200, answer.text
            told = {"request_id": answer.json()["request_id"], "label": "refund_status"}
            headers = {"authorization": f"Bearer {watched.key}"}
            httpx.post(f"{watched.url}/v1/feedback", json=told, headers=headers, verify=False)
        assert watched.ask(["hello"], authorization="Bearer mw_no_key").status_code == 401
        count = f"sum(modelwright_request_seconds_count{{route='/v1/predict',model='tiny'}}) >= {20 * (number + 1)}"
        watched.server.until(count)


def test_every_query_of_the_dashboard_is_valid_and_finds_its_data(watched: Watched):
    some_traffic(watched)
    watched.server.until("modelwright:availability_budget_left:ratio")
    board = watching.dashboard({"name": "tiny"}, SLO)
    empty, seen = [], 0
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            expr = re.sub(r"\$__rate_interval|(?<=\[)1[dh](?=\])", "30s", target["expr"])
            found = watched.server.query(expr)
            seen += 1
            if not found and not ELSEWHERE.search(expr):
                empty.append(f"{panel['title']}: {expr}")
    assert not empty, "\n".join(empty)
    assert seen > 60
    rows = [panel["title"] for panel in board["panels"] if panel["type"] == "row"]
    assert rows == [
        "Overview", "Saturation", "Batching", "Stage timing", "Rollout", "Data", "Platform",
    ]  # fmt: skip


def test_every_rule_is_evaluated_without_a_fault(watched: Watched):
    rules = watched.server.rules()
    watched.server.until("ALERTS or vector(1)")
    assert len(rules) > 40
    faults = [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule.get("lastError")]
    assert not faults


def test_an_alert_reaches_the_webhook_within_two_windows_of_the_shift(watched: Watched):
    assert watched.ask(["hello"]).status_code == 200
    assert "AvailabilityBurnFast" not in watched.receiver.names()
    began = time.monotonic()
    end = began + 30
    while time.monotonic() < end and "AvailabilityBurnFast" not in watched.receiver.names():
        late = watched.ask(["hello, where is my parcel?"] * 300, **{"x-deadline-ms": "1"})
        assert late.status_code in (503, 504)
    arrived, alert = watched.receiver.wait("AvailabilityBurnFast", 1.0)
    window = 300 / FASTER
    assert arrived - began < 2 * window
    assert alert["labels"] == {
        "alertname": "AvailabilityBurnFast", "severity": "page", "about": "availability",
        "model": "tiny",
    }  # fmt: skip
    assert alert["annotations"]["runbook_url"] == "runbooks/AvailabilityBurnFast.md"
    assert re.search(r"[\d.]+% of the requests", alert["annotations"]["description"])


def test_the_failed_check_of_a_bundle_reaches_it_too(watched: Watched):
    watched.server.until("modelwright_verify_failures_total{reason='files'} >= 0")
    assert watched.change("tiny", {"bundle": "broken"}).status_code == 422
    _, alert = watched.receiver.wait("PackageVerifyFailed", 30)
    assert alert["labels"]["reason"] == "files"
