"""Prometheus, Alertmanager and a receiver of alerts as processes of a test, on loopback.

    with Receiver() as receiver, alertmanager(folder, watching.alertmanager(receiver.url)) as sender:
        with prometheus(folder, watching.rules(manifest, slo), targets, sender) as server:
            server.query("up")
            receiver.wait("InputDrift", 30)

The programs are those of the machine (`prometheus`, `promtool`, `amtool`, and `alertmanager` or
`prometheus-alertmanager`); a test that needs them asks `program` first.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self, final
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

from modelwright.deploy.watching import seconds_of

_OTHER_NAMES = {"alertmanager": ("alertmanager", "prometheus-alertmanager")}
START_S = 60.0
_PAUSE_S = 0.05
_WAITS = ("group_wait", "group_interval", "repeat_interval")


def program(name: str) -> str | None:
    """Where a program of Prometheus is installed, under any of its names; None where it is not."""
    return next(filter(None, map(shutil.which, _OTHER_NAMES.get(name, (name,)))), None)


def check(name: str, *arguments: str) -> str:
    """Run promtool or amtool and return what it said.

    Raises:
        AssertionError: it found a fault.
    """
    found = program(name)
    if found is None:
        raise FileNotFoundError(name)
    done = subprocess.run(
        [found, *arguments], capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)
    return done.stdout + done.stderr


@final
class Receiver:
    """A webhook that keeps what Alertmanager posts, and when."""

    def __init__(self) -> None:
        self.posts: list[tuple[float, dict[str, Any]]] = []
        self._news = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                receiver._take(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/alerts"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def _take(self, body: dict[str, Any]) -> None:
        with self._news:
            self.posts.append((time.monotonic(), body))
            self._news.notify_all()

    def wait(self, name: str, seconds: float, status: str = "firing") -> tuple[float, Any]:
        """When an alert arrived, by the monotonic clock, and the alert.

        Args:
            name: regular expression of its name.
            seconds: to wait, at most.
            status: firing or resolved.

        Raises:
            TimeoutError: it did not, in that time.
        """
        with self._news:
            found = self._news.wait_for(lambda: self._found(name, status), seconds)
        if found is None:
            raise TimeoutError(f"no {status} {name} within {seconds:g} s; came: {self.names()}")
        return found

    def names(self) -> list[str]:
        """Of all alerts that came."""
        alerts = [alert for _, body in self.posts for alert in body["alerts"]]
        return sorted({alert["labels"]["alertname"] for alert in alerts})

    def _found(self, name: str, status: str) -> tuple[float, Any] | None:
        for moment, body in self.posts:
            for alert in body["alerts"]:
                named = re.fullmatch(name, alert["labels"]["alertname"])
                if named and alert["status"] == status:
                    return moment, alert
        return None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@final
class Server:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The result of an instant query.

        Raises:
            AssertionError: it is no valid query.
        """
        return self._get("query", query=expr)["result"]

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its `health` and `lastError`."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def until(self, expr: str, seconds: float = 60.0) -> list[dict[str, Any]]:
        """The first result of a query that is not empty.

        Raises:
            TimeoutError: there was none in that time.
        """
        return _until(lambda: self.query(expr), seconds, expr)

    def _get(self, what: str, **parameters: str) -> Any:
        try:
            with urlopen(f"{self.url}/api/v1/{what}?{urlencode(parameters)}", timeout=30) as answer:
                return json.load(answer)["data"]
        except HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None


@contextmanager
def prometheus(
    folder: Path,
    rules: Mapping[str, Any],
    targets: Sequence[Mapping[str, Any]],
    alerts_to: str | None = None,
    seconds: float = 1.0,
) -> Iterator[Server]:
    """A Prometheus that scrapes and evaluates.

    Args:
        folder: for its files.
        rules: a rule file's data.
        targets: entries of `scrape_configs`.
        alerts_to: HOST:PORT of an Alertmanager.
        seconds: between scrapes, and between evaluations.
    """
    folder.mkdir(parents=True, exist_ok=True)
    every = f"{round(seconds * 1000)}ms"
    content: dict[str, Any] = {
        "global": {
            "scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every,
        },
        "rule_files": ["rules.yml"],
        "scrape_configs": list(targets),
    }  # fmt: skip
    if alerts_to:
        content["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alerts_to]}]}]}
    _write(folder / "rules.yml", rules)
    _write(folder / "prometheus.yml", content)
    port = free_port()
    arguments = (
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    with _running("prometheus", arguments, port, folder):
        yield Server(f"http://127.0.0.1:{port}")


@contextmanager
def alertmanager(folder: Path, content: Mapping[str, Any], faster: float = 1.0) -> Iterator[str]:
    """An Alertmanager; gives its HOST:PORT.

    Args:
        folder: for its files.
        content: of its configuration.
        faster: by how much its waits are shortened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    route = _sooner(content["route"], faster)
    _write(folder / "alertmanager.yml", {**content, "route": route})
    port = free_port()
    arguments = (
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    )
    with _running("alertmanager", arguments, port, folder):
        yield f"127.0.0.1:{port}"


def _sooner(route: Mapping[str, Any], faster: float) -> dict[str, Any]:
    """A route and those below it, with shorter waits."""
    found = dict(route)
    for name in _WAITS:
        if name in found:
            found[name] = f"{max(1, round(seconds_of(found[name]) / faster * 1000))}ms"
    if "routes" in found:
        found["routes"] = [_sooner(one, faster) for one in found["routes"]]
    return found


@contextmanager
def _running(name: str, arguments: Sequence[str], port: int, folder: Path) -> Iterator[None]:
    """A program until the block ends, from when it is ready."""
    found = program(name)
    if found is None:
        raise FileNotFoundError(name)
    log = folder / f"{name}.log"
    with log.open("w") as output:
        process = subprocess.Popen([found, *arguments], stdout=output, stderr=output)
    try:
        _until(lambda: _ready(process, port, log), START_S, f"{name} to be ready")
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(process: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    if process.poll() is not None:
        raise RuntimeError(log.read_text(encoding="utf-8", errors="replace")[-4000:])
    try:
        with urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def _until(read: Callable[[], Any], seconds: float, what: str) -> Any:
    end = time.monotonic() + seconds
    while True:
        if found := read():
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(_PAUSE_S)


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """JSON, which is YAML, too."""
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
