"""A serving process that is killed or stands still is replaced; the port stays open meanwhile."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwright import Client

SOURCE = Path(__file__).parents[2] / "src"
PROGRAM = """
import sys, time
from pathlib import Path
from modelwright.serve import Settings, _supervising, run
from modelwright.serve.stage import Ports
from modelwright.testing.doubles import FakeBundle

_supervising.BEAT_S = 0.1
settings = Settings(port=0)
ports = Ports.bound(settings)

def serve(line):
    bundle = FakeBundle(seconds=float(sys.argv[2])).save(Path(sys.argv[1]))
    encode = bundle.encode
    def encoding(inputs):
        if "stand still" in inputs:
            time.sleep(1000)
        return encode(inputs)
    bundle.encode = encoding
    return run([bundle], settings, as_json=True, ports=ports, line=line)

sys.exit(_supervising.supervised(serve, ports.sockets(), 3.0))
"""
ALONE = """
import os, signal, sys
from modelwright.serve._supervising import supervised
sys.exit(supervised(lambda line: {what}, [], 60.0))
"""


@contextmanager
def service(folder: Path, seconds: float = 0.0) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """A supervised service and what its serving process said when it was ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), str(seconds)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def ask(url: str, text: str = "hello") -> httpx.Response:
    return httpx.post(f"{url}/v1/predict", json={"inputs": [text]}, timeout=60)


def in_background(url: str, text: str) -> tuple[threading.Thread, list[Any]]:
    """A request whose answer, or error, is put into the list."""
    found: list[Any] = []

    def send() -> None:
        try:
            found.append(ask(url, text).status_code)
        except httpx.TransportError as error:
            found.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    return thread, found


def client_in_background(url: str) -> tuple[threading.Thread, list[Any]]:
    """The same with the client, which tries again."""
    found: list[Any] = []

    def send() -> None:
        with Client(url) as client:
            found.append(client.predict(["hello"]))

    thread = threading.Thread(target=send)
    thread.start()
    return thread, found


def until_taken(url: str) -> None:
    """Until the model has taken a request on."""
    taken = re.compile(r"^modelwright_queue_seconds_count\{.*\} [1-9]", re.MULTILINE)
    while not taken.search(httpx.get(f"{url}/metrics").text):
        pass


def test_a_killed_process_is_replaced_and_the_next_caller_answered(tmp_path: Path):
    with service(tmp_path) as (process, first):
        assert first["pid"] != process.pid
        for restarts in (1, 2):
            os.kill(first["pid"], signal.SIGKILL)
            assert ask(first["url"]).status_code == 200
            metrics = httpx.get(f"{first['url']}/metrics").text
            assert f"modelwright_restarts {restarts}.0" in metrics
            again = json.loads(process.stdout.readline())
            assert (again["url"], again["pid"] != first["pid"]) == (first["url"], True)
            first = again


def test_who_was_being_answered_is_told_at_once_and_a_client_asks_again(tmp_path: Path):
    with service(tmp_path, seconds=2.0) as (process, first):
        waiting, found = in_background(first["url"], "hello")
        client, answers = client_in_background(first["url"])
        until_taken(first["url"])
        os.kill(first["pid"], signal.SIGKILL)
        waiting.join()
        assert isinstance(found[0], httpx.TransportError)
        client.join()
        assert answers[0][0]["label"]
        assert json.loads(process.stdout.readline())["pid"] != first["pid"]


def test_an_event_loop_that_stands_still_is_replaced(tmp_path: Path):
    with service(tmp_path) as (_, first):
        stuck, found = in_background(first["url"], "stand still")
        stuck.join()
        assert isinstance(found[0], httpx.TransportError)
        assert ask(first["url"]).status_code == 200


@pytest.mark.parametrize("to", ["the parent", "the serving process"])
def test_sigterm_answers_what_runs_refuses_the_rest_and_exits_0(to: str, tmp_path: Path):
    with service(tmp_path, seconds=1.0) as (process, first):
        waiting, found = in_background(first["url"], "hello")
        until_taken(first["url"])
        os.kill(process.pid if to == "the parent" else first["pid"], signal.SIGTERM)
        host, port = first["url"].removeprefix("http://").split(":")
        refused = False
        while not refused:
            try:
                socket.create_connection((host, int(port))).close()
            except ConnectionRefusedError:
                refused = True
        waiting.join()
        assert found == [200]
        assert process.wait(timeout=60) == 0


def test_the_serving_process_does_not_outlive_its_parent(tmp_path: Path):
    with service(tmp_path) as (process, _):
        process.kill()
        assert process.stdout.read() == ""  # its end is closed when both are gone


@pytest.mark.parametrize(
    ("what", "code"),
    [("3", 3), ("sys.exit(2)", 2), ("os.kill(os.getpid(), signal.SIGKILL)", 1)],
    ids=["its code", "an error's code", "killed before it was ready"],
)
def test_a_process_that_ends_by_itself_or_never_begins_is_not_replaced(what: str, code: int):
    program = ALONE.format(what=what)
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", program], check=False, env=environment)
    assert done.returncode == code
