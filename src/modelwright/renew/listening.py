"""Alertmanager's webhook (version 4): a firing alert with `action: renew` starts a renewal.

    POST /        {"version": "4", "alerts": [{"status": "firing", "labels": {"action": "renew"}}]}
    GET  /health  whether it listens, and what it does

One renewal runs at a time, in a process of its own; what else is asked meanwhile is not queued,
since Alertmanager asks again as long as the alert fires. An alert that was acted on is not acted on
again (`DIR/alerts.jsonl` remembers over restarts). Nothing of an alert reaches a command but its
name, as words of the record.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.server
import json
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.artifacts.store import now
from modelwright.errors import UserError
from modelwright.recipe.check import check
from modelwright.renew.asked import Asked
from modelwright.runtime.files import writing_errors

MOST_BYTES = 1_000_000
MOST_CALLERS = 16
SECONDS = 10.0
"""In which a caller must have sent its request."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")
_LOG = logging.getLogger("modelwright.renew")


@dataclass(frozen=True)
class Alert:
    """A firing alert that asks for a renewal; `id` is the same each time that it is sent."""

    id: str
    name: str
    model: str


def alerts_of(body: bytes) -> list[Alert]:
    """The alerts of a webhook that fire and carry `action: renew`.

    Raises:
        ValueError: it is not what Alertmanager sends.
    """
    try:
        told = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(told, dict) or not isinstance(told.get("alerts"), list):
        raise ValueError("there is no list of alerts in it")
    if str(told.get("version", "4")) != "4":
        raise ValueError("its version is not 4")
    found = []
    for one in told["alerts"]:
        labels = one.get("labels") if isinstance(one, dict) else None
        if not isinstance(labels, dict):
            raise ValueError("an alert has no labels")
        if one.get("status") == "firing" and labels.get("action") == "renew":
            mark = [sorted((str(k), str(v)) for k, v in labels.items()), str(one.get("startsAt"))]
            identity = hashlib.sha256(json.dumps(mark).encode()).hexdigest()[:24]
            name, model = _word(labels.get("alertname")), _word(labels.get("model"))
            found.append(Alert(identity, name, model))
    return found


def _word(text: Any) -> str:
    """What is kept of a name of others."""
    return "".join(c for c in str(text or "") if c.isprintable())[:100]


class Listener:
    """The listener, its one renewal, and what it remembers.

    Args:
        asked: the renewal.
        command: what starts it.
        address: host and port; 0 for a free one.
        token: that callers must bring; "" for none.
    """

    def __init__(
        self, asked: Asked, command: Sequence[str], address: tuple[str, int], token: str
    ) -> None:
        if address[0] not in LOOPBACK and not token:
            raise UserError(
                "MW-657",
                f"{address[0]} can be reached from other machines, and anybody could start training",
                expected="a token that callers must bring, beyond loopback",
                fix="--token-file FILE, and `authorization: {credentials_file: FILE}` in Alertmanager",
            )
        recipe = check(asked.recipe)
        self.model = recipe.name
        self.folder = asked.output or asked.recipe.parent / "runs" / f"{recipe.name}-renewal"
        self._command, self._token = list(command), token
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._seen = self._remembered()
        self._callers = threading.BoundedSemaphore(MOST_CALLERS)
        try:
            self.server = http.server.ThreadingHTTPServer(address, _handler(self))
        except OSError as error:
            raise UserError(
                "MW-657",
                f"{address[0]}:{address[1]} cannot be listened on: {error.strerror}",
                expected="a free port of this machine",
                fix="--listen with another port, or 0 for a free one",
            ) from error
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        host, port = self.server.server_address[:2]
        return f"http://{host!s}:{port}/"

    def run(self) -> int:
        """Listen until stopped; a renewal that runs is stopped too, and goes on at the next one."""
        print(f"waiting for alerts with action=renew at {self.url}", file=sys.stderr, flush=True)
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            self.server.serve_forever(poll_interval=0.2)
        finally:
            signal.signal(signal.SIGTERM, before)
            self.close()
        return 0

    def close(self) -> None:
        """Stop listening, and what runs."""
        self.server.server_close()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def wait(self, seconds: float) -> int | None:
        """Until the renewal that runs has ended; its exit code."""
        return None if self._process is None else self._process.wait(seconds)

    def take(self, alerts: Sequence[Alert]) -> dict[str, Any]:
        """Act on alerts: at most one renewal begins."""
        taken: list[dict[str, str]] = []
        with self._lock:
            for one in alerts:
                taken.append({"alert": one.name, "did": self._act(one)})
        return {"alerts": taken, "running": self.running}

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _act(self, alert: Alert) -> str:
        if alert.model and alert.model != self.model:
            return "ignored: it speaks of another model"
        if alert.id in self._seen:
            return "ignored: it was acted on before"
        if self.running:
            return "ignored: a renewal is running"
        because = f"the alert {alert.name} fired" if alert.name else "an alert fired"
        self._process = subprocess.Popen([*self._command, f"--because={because}"])
        self._remember(alert)
        _LOG.warning("renewal began: %s", because)
        return "began a renewal"

    def _remembered(self) -> set[str]:
        path = self.folder / "alerts.jsonl"
        found: set[str] = set()
        if path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):  # half a line of a kill
                    found.add(json.loads(line)["id"])
        return found

    def _remember(self, alert: Alert) -> None:
        self._seen.add(alert.id)
        entry = {"at": now(), "id": alert.id, "alert": alert.name, "model": alert.model}
        path = self.folder / "alerts.jsonl"
        with writing_errors(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")

    # -- asked by the handler ---------------------------------------------------------------------
    def enter(self) -> bool:
        """Whether there is room for one more caller."""
        return self._callers.acquire(blocking=False)

    def leave(self) -> None:
        """A caller is gone."""
        self._callers.release()

    def allowed(self, header: str) -> bool:
        """Whether a caller brought the token."""
        if not self._token:
            return True
        kind, _, given = header.partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(
            hashlib.sha256(given.strip().encode("utf-8", "replace")).digest(),
            hashlib.sha256(self._token.encode()).digest(),
        )


def _handler(listener: Listener) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = SECONDS
        server_version, sys_version = "modelwright", ""

        def handle(self) -> None:
            if not listener.enter():
                return
            try:
                super().handle()
            except (OSError, ValueError) as error:
                _LOG.info("a caller was cut off: %s", error)
            finally:
                listener.leave()

        def do_GET(self) -> None:  # the name that http.server wants
            if self.path == "/health":
                self._say(200, {"model": listener.model, "running": listener.running})
            else:
                self._say(404, {"error": "POST alerts to /"})

        def do_POST(self) -> None:
            length = self.headers.get("content-length", "")
            if not listener.allowed(self.headers.get("authorization", "")):
                self._say(401, {"error": "the token is missing or wrong"})
            elif not (length.isascii() and length.isdigit()) or len(length) > 12:
                self._say(411, {"error": "content-length is missing"})
            elif int(length) > MOST_BYTES:
                self._say(413, {"error": f"more than {MOST_BYTES} bytes"})
            else:
                self._alerts(self.rfile.read(int(length)))

        def _alerts(self, body: bytes) -> None:
            try:
                self._say(202, listener.take(alerts_of(body)))
            except ValueError as error:
                self._say(400, {"error": f"this is no webhook of Alertmanager: {error}"[:300]})

        def _say(self, status: int, value: dict[str, Any]) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            _LOG.info(format, *args)

    return Handler


def child_command(asked: Asked, key_file: Path | None) -> list[str]:
    """The command of one renewal, as a user would type it."""
    words = [sys.executable, "-m", "modelwright", "renew", str(asked.recipe)]
    words += [f"--traffic={asked.traffic}", f"--budget={asked.budget}"]
    words += [f"--labels={one}" for one in asked.labels]
    place = asked.place
    options = {
        "output": asked.output,
        "model": asked.model,
        "registry": asked.registry,
        "key": asked.key,
        "service": place.service if place else None,
        "admin": place.admin if place else None,
        "bundles": place.bundles if place else None,
        "key-file": key_file,
    }
    return words + [f"--{name}={value}" for name, value in options.items() if value is not None]


def secret(path: Path | None) -> str:
    """The key or token in a file; "" without a file.

    Raises:
        UserError: MW-804 when it cannot be read or is empty.
    """
    if path is None:
        return ""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        text, why = "", str(error)
    else:
        why = "it is empty"
    if not text or len(text.split()) != 1:
        raise UserError(
            "MW-804",
            f"{path} holds no key: {why if not text else 'it holds several words'}",
            expected="a file with one key or token",
            fix="write the key alone into it",
        )
    return text
