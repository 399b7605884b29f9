"""Alertmanager asks for a renewal: once for each alert, one at a time, and nobody else does."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import UserError
from modelwright.renew.asked import Asked
from modelwright.renew.listening import MOST_BYTES, Listener, child_command, secret

ALERTMANAGER = shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
RECIPE = "name: tiny\ntask: text-classification\ndata: {source: rows.csv}\n"
RAN = "import sys, pathlib; pathlib.Path(sys.argv[1]).open('a').write(sys.argv[2] + '\\n')"


def alert(name: str = "InputDrift", starts: str = "2026-01-01T00:00:00Z", **labels: Any) -> dict:
    labels = {"alertname": name, "model": "tiny", "action": "renew", **labels}
    return {"status": "firing", "labels": labels, "annotations": {}, "startsAt": starts}


def webhook(*alerts: dict) -> dict:
    return {"version": "4", "status": "firing", "receiver": "renew", "alerts": list(alerts)}


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "rows.csv").write_text("text,label\na,b\nb,c\n", encoding="utf-8")
    return Asked(tmp_path / "recipe.yaml", tmp_path / "traffic", output=tmp_path / "out")


@contextmanager
def listening(asked: Asked, command: list[str], token: str = "") -> Iterator[Listener]:
    listener = Listener(asked, command, ("127.0.0.1", 0), token)
    thread = threading.Thread(target=listener.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield listener
    finally:
        listener.server.shutdown()
        thread.join()
        listener.close()


def post(listener: Listener, body: Any, **headers: str) -> tuple[int, dict]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection(*listener.server.server_address[:2], timeout=10)
    connection.request("POST", "/", content, headers)
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    return answer.status, told


def ran(tmp_path: Path) -> list[str]:
    path = tmp_path / "ran"
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def test_an_alert_begins_one_renewal_and_its_repeats_none_even_after_a_restart(
    asked: Asked, tmp_path: Path
):
    command = [sys.executable, "-c", RAN, str(tmp_path / "ran")]
    with listening(asked, command) as listener:
        status, told = post(listener, webhook(alert()))
        assert (status, told["alerts"][0]["did"]) == (202, "began a renewal")
        assert listener.wait(20) == 0
        assert "acted on before" in post(listener, webhook(alert()))[1]["alerts"][0]["did"]
    with listening(asked, command) as listener:
        assert "acted on before" in post(listener, webhook(alert()))[1]["alerts"][0]["did"]
        post(listener, webhook(alert(starts="2026-02-01T00:00:00Z")))
        listener.wait(20)
    assert ran(tmp_path) == ["--because=the alert InputDrift fired"] * 2


def test_one_renewal_runs_at_a_time_and_what_was_ignored_may_ask_again(asked: Asked):
    with listening(asked, [sys.executable, "-c", "import time; time.sleep(60)"]) as listener:
        told = post(listener, webhook(alert("A"), alert("B")))[1]
        assert [one["did"] for one in told["alerts"]] == [
            "began a renewal", "ignored: a renewal is running",
        ]  # fmt: skip
        assert told["running"] is True
        assert "running" in post(listener, webhook(alert("B")))[1]["alerts"][0]["did"]
        assert listener._process is not None
        listener._process.kill()
        listener.wait(20)
        assert post(listener, webhook(alert("B")))[1]["alerts"][0]["did"] == "began a renewal"
        listener._process.kill()


def test_what_does_not_ask_for_a_renewal_begins_none(asked: Asked, tmp_path: Path):
    with listening(asked, [sys.executable, "-c", RAN, str(tmp_path / "ran")]) as listener:
        resolved = {**alert(), "status": "resolved"}
        for one in (resolved, alert(action="page"), alert(action=None)):
            assert post(listener, webhook(one)) == (202, {"alerts": [], "running": False})
        other = post(listener, webhook(alert(model="other")))[1]
        assert other["alerts"][0]["did"] == "ignored: it speaks of another model"
    assert ran(tmp_path) == []


HOSTILE = [
    b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"alerts": 3}',
    b'{"alerts": [3]}', b'{"alerts": [{"labels": 3}]}', b'{"version": "9", "alerts": []}',
]  # fmt: skip


def test_hostile_bodies_are_refused_and_the_listener_goes_on(asked: Asked, tmp_path: Path):
    with listening(asked, [sys.executable, "-c", RAN, str(tmp_path / "ran")]) as listener:
        for body in HOSTILE:
            assert post(listener, body)[0] == 400, body[:40]
        assert post(listener, b"", **{"content-length": str(MOST_BYTES + 1)})[0] == 413
        for raw in (b"POST / HTTP/1.1\r\ncontent-length: -5\r\n\r\n", b"\0\1\2\r\n\r\n", b""):
            with socket.create_connection(listener.server.server_address[:2]) as caller:
                caller.sendall(raw)
                caller.shutdown(socket.SHUT_WR)
                caller.recv(1000)
        words = alert("$(touch /tmp/evil); --labels=x\n\x1b[31m名")
        assert post(listener, webhook(words))[1]["alerts"][0]["did"] == "began a renewal"
        assert listener.wait(20) == 0
    [said] = ran(tmp_path)
    assert said == "--because=the alert $(touch /tmp/evil); --labels=x[31m名 fired"


def test_with_a_token_nobody_else_is_heard(asked: Asked, tmp_path: Path):
    command = [sys.executable, "-c", RAN, str(tmp_path / "ran")]
    with listening(asked, command, token="s3cret") as listener:
        for header in ("", "Bearer", "Bearer wrong", "Basic s3cret", "Bearer s3cret\xe9"):
            given = {"authorization": header} if header else {}
            assert post(listener, webhook(alert()), **given)[0] == 401
        assert ran(tmp_path) == []
        assert post(listener, webhook(alert()), authorization="Bearer s3cret")[0] == 202
        listener.wait(20)
    assert len(ran(tmp_path)) == 1


def test_beyond_loopback_a_token_is_needed_and_a_taken_port_is_told(asked: Asked, tmp_path: Path):
    with pytest.raises(UserError, match="MW-657"):
        Listener(asked, [], ("0.0.0.0", 0), "")
    with listening(asked, []) as listener, pytest.raises(UserError, match="MW-657"):
        Listener(asked, [], ("127.0.0.1", listener.server.server_address[1]), "")
    for content in (b"", b"two words", b"\xff"):
        (tmp_path / "token").write_bytes(content)
        with pytest.raises(UserError, match="MW-804"):
            secret(tmp_path / "token")
    assert secret(None) == ""


def test_a_real_command_is_what_begins(asked: Asked):
    words = child_command(asked, None)
    assert words[1:4] == ["-m", "modelwright", "renew"]
    done = subprocess.run(
        [*words, "--because=$(x)", "--json"], capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
    )  # fmt: skip
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["problems"][0]["code"] == "MW-804"  # no traffic yet


@pytest.mark.skipif(ALERTMANAGER is None, reason="needs Prometheus's Alertmanager")
def test_a_real_alertmanager_begins_a_renewal(asked: Asked, tmp_path: Path):
    command = [sys.executable, "-c", RAN, str(tmp_path / "ran")]
    (tmp_path / "token").write_text("s3cret", encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = threading.Event()
    with listening(asked, command, token="s3cret") as listener:
        act = listener.take
        listener.take = lambda alerts: (act(alerts), began.set())[0] if alerts else act(alerts)
        config = {
            "route": {"receiver": "renew", "group_wait": "0s", "group_interval": "1s"},
            "receivers": [
                {
                    "name": "renew",
                    "webhook_configs": [
                        {
                            "url": listener.url,
                            "http_config": {
                                "authorization": {"credentials_file": str(tmp_path / "token")}
                            },
                        }
                    ],
                }
            ],
        }
        (tmp_path / "alertmanager.yml").write_text(json.dumps(config), encoding="utf-8")
        process = subprocess.Popen(
            [
                str(ALERTMANAGER), f"--config.file={tmp_path / 'alertmanager.yml'}",
                f"--storage.path={tmp_path / 'alerts'}", "--cluster.listen-address=",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            fired = [{"labels": alert()["labels"]}]
            assert tell(port, "/api/v2/alerts", fired) == 200
            assert began.wait(30)
            assert listener.wait(20) == 0
        finally:
            process.terminate()
            process.wait(20)
    assert ran(tmp_path) == ["--because=the alert InputDrift fired"]


def tell(port: int, path: str, body: Any) -> int:
    """Post to a program that is starting; its status."""
    for _ in range(100):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
            return connection.getresponse().status
        except ConnectionRefusedError:
            threading.Event().wait(0.1)
        finally:
            connection.close()
    return 0
