"""bench/soak.py: hostile requests are answered as they say, and a drift of memory is seen."""

from __future__ import annotations

import importlib
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelwright.serve import Settings, create_app
from modelwright.serve.stage import _config, bind
from modelwright.testing.doubles import FakeBundle

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture(scope="module")
def hostile() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH / "workers"))
        yield importlib.import_module("hostile")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    import uvicorn

    listener = bind("127.0.0.1", 0)
    settings = Settings(head_s=1.0)
    server = uvicorn.Server(_config(create_app([FakeBundle()], settings), settings, None))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()


def status(port: int, data: bytes, *, hangs_up: bool) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as raw:
        try:
            raw.sendall(data)
            if hangs_up:
                return "closed"
            head = raw.recv(65536)
        except ConnectionError:
            return "closed"
    return head.split(b" ")[1].decode() if head else "closed"


def test_every_hostile_request_is_answered_as_is_right_for_it(hostile: Any, port: int) -> None:
    chance = random.Random(7)
    found = {}
    for name, kind in hostile.KINDS.items():
        for _ in range(5):
            data = kind.make(chance).replace(b"{model}", b"fake", 1)
            seen = status(port, data, hangs_up=kind.hangs_up)
            if seen not in kind.right:
                found[name] = seen
    assert found == {}
    good = hostile.post("/v1/predict", b'{"inputs": ["hello"]}')
    assert status(port, good, hangs_up=False) == "200"


@pytest.mark.parametrize(
    ("rise", "expected"), [(0.0, 0.0), (0.1, 10.0), (-0.05, -5.0)], ids=["flat", "up", "down"]
)
def test_a_drift_is_that_of_a_line_after_the_first_tenth(rise: float, expected: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH))
        soak = importlib.import_module("soak")
        filling = [(float(at), 50.0 + 5 * at) for at in range(10)]
        later = [(float(at), 200 * (1 + rise * (at - 10) / 90)) for at in range(10, 101)]
        assert soak.drift([*filling, *later]) == pytest.approx(expected, abs=1e-6)
        assert soak.drift(later[:2]) is None
