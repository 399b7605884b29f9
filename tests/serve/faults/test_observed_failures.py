"""What other services were seen to do wrong, each made impossible here.

docs/serving.md has the list, and names the tests elsewhere that hold its other lines.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from modelwright.serve.stage import bind
from modelwright.testing.doubles import FakeBundle

Serve = Callable[..., TestClient]
Running = Callable[..., Any]
SECRET = "cannot open /srv/models/intents.onnx at 0x7f3a5c"
JSON = {"content-type": "application/json"}
OIP = "/v2/models/fake/infer"
RUNS = re.compile(r"modelwright_queue_seconds_count{.*} 1\.0")


def raising(error: BaseException) -> Callable[[str], bool]:
    def call(text: str) -> bool:
        if "poison" in text:
            raise error
        return False

    return call


def tensor(text: str, **more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [text], **more}]}


# -- a model that fails ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    "error",
    [
        SystemExit(1),
        KeyboardInterrupt(),
        GeneratorExit(),
        StopIteration(),
        asyncio.CancelledError(),
        MemoryError(),
        RecursionError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_worker_that_is_killed_in_a_call_costs_that_call_alone(
    serve: Serve, error: BaseException
):
    opened = serve(FakeBundle(fails=raising(error)))
    for path, body in (("/v1/predict", {"inputs": ["poison"]}), (OIP, tensor("poison"))):
        assert opened.post(path, json=body).status_code == 500
        assert opened.post("/v1/predict", json={"inputs": ["fine"]}).status_code == 200
    assert opened.get("/health/ready").status_code == 200


@pytest.mark.parametrize("error", [StopIteration(), SystemExit(1), asyncio.CancelledError()])
def test_an_answer_that_cannot_be_put_together_is_an_answer_all_the_same(
    serve: Serve, error: BaseException, monkeypatch: pytest.MonkeyPatch
):
    bundle = FakeBundle()
    opened = serve(bundle)

    def decode(*_: Any) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(bundle.task, "decode", decode)
        assert opened.post("/v1/predict", json={"inputs": ["a"]}).status_code == 500
    assert opened.post("/v1/predict", json={"inputs": ["a"]}).status_code == 200


def test_exception_text_reaches_the_log_and_no_caller(
    serve: Serve, caplog: pytest.LogCaptureFixture
):
    opened = serve(FakeBundle(fails=raising(RuntimeError(SECRET))))
    with caplog.at_level(logging.ERROR, "modelwright.serve"):
        for path, body in (("/v1/predict", {"inputs": ["poison"]}), (OIP, tensor("poison"))):
            response = opened.post(path, json=body)
            assert response.status_code == 500
            for word in ("/srv/", "0x7f", "RuntimeError", "Traceback", ".py"):
                assert word not in response.text
    assert SECRET in caplog.text


# -- a caller who is wrong ------------------------------------------------------------------------
@pytest.mark.parametrize("body", [b'{"inputs": [', b"", b"\xff", b"{'inputs': ['a']}", b"[" * 5000])
def test_malformed_json_is_400_on_every_route_that_takes_it(serve: Serve, body: bytes):
    opened = serve()
    asked = [route.path for route in opened.app.routes if "POST" in route.methods]
    assert {"/v1/predict", "/v1/feedback"} < set(asked)
    for path in asked:
        path = path.replace("{name}", "fake").replace("{version}", "1")
        response = opened.post(path, content=body, headers=JSON)
        assert response.status_code == 400, path
        assert "MW-701" in json.dumps(response.json()), path


@pytest.mark.parametrize("shape", [[1_000_000], [1, 1_000_000], [2, 1], [0], [2**63], [1, 1, 1]])
def test_a_shape_that_its_data_do_not_have_is_refused(serve: Serve, shape: list[int]):
    bundle = FakeBundle()
    opened = serve(bundle)
    before = len(bundle.calls)
    response = opened.post(OIP, json=tensor("a", shape=shape))
    assert response.status_code == 422
    assert set(response.json()) == {"error"}, "the protocol's own form"
    assert len(bundle.calls) == before


# -- the process ----------------------------------------------------------------------------------
def test_sigterm_in_a_call_answers_it_exits_0_and_leaves_no_process(running: Running):
    service = running(seconds=0.5)

    async def talk() -> httpx.Response:
        async with httpx.AsyncClient(base_url=service.url, timeout=30) as http:
            asked = asyncio.create_task(http.post("/v1/predict", json={"inputs": ["a"]}))
            while not RUNS.search((await http.get("/metrics")).text):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
            service.process.send_signal(signal.SIGTERM)
            return await asked

    assert asyncio.run(talk()).status_code == 200
    assert service.process.wait(timeout=20) == 0
    assert service.family() == []
    bind(*service.address).close()


def test_a_killed_service_leaves_no_process_and_its_port_free(running: Running):
    service = running()
    service.process.kill()
    service.process.wait(timeout=20)
    assert service.family() == []
    bind(*service.address).close()


def test_a_body_of_60_mb_is_refused_and_never_held(running: Running):
    service = running()
    status = Path(f"/proc/{service.process.pid}/status")
    before = _peak_mb(status)
    declared = b"Content-Length: 60000000\r\n\r\n"
    chunked = b"Transfer-Encoding: chunked\r\n\r\n"
    for rest, piece in ((declared, b" " * 65536), (chunked, b"10000\r\n" + b" " * 65536 + b"\r\n")):
        head = b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        with socket.create_connection(service.address, timeout=20) as raw:
            try:
                raw.sendall(head + rest)
                for _ in range(60_000_000 // 65536):
                    raw.sendall(piece)
            except OSError:
                pass  # it hung up before the end
            assert raw.recv(65536).startswith(b"HTTP/1.1 413")
    assert _peak_mb(status) - before < 45, "10 MB are read, once as pieces and once as a whole"
    assert httpx.get(f"{service.url}/health/ready").status_code == 200


def _peak_mb(status: Path) -> float:
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
