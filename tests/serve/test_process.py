"""The service as a process of its own: start, fifty callers, signals, a taken port."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from modelwright.errors import GateError, UserError
from modelwright.serve import Settings, run
from modelwright.serve._keys import new_key, write_keys
from modelwright.serve.stage import bind
from modelwright.testing.doubles import FakeBundle

SOURCE = Path(__file__).parents[2] / "src"
PROGRAM = """
import sys
from pathlib import Path
from modelwright.serve import Settings, run
from modelwright.testing.doubles import FakeBundle
bundle = FakeBundle(seconds=float(sys.argv[1])).save(Path(sys.argv[2]))
sys.exit(run([bundle], Settings(port=0), as_json=True))
"""


@dataclass
class Service:
    process: subprocess.Popen[str]
    url: str
    ready: dict


@contextmanager
def service(folder: Path, seconds: float = 0.0) -> Iterator[Service]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(seconds), str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(process.stderr.read())
        ready = json.loads(line)
        yield Service(process, ready["url"], ready)
    finally:
        process.kill()
        process.communicate()


def test_the_start_line_tells_where_and_what(tmp_path: Path):
    with service(tmp_path) as running:
        assert running.ready["models"][0]["name"] == "fake"
        assert running.ready["pid"] == running.process.pid
        assert httpx.get(f"{running.url}/health/ready").json()["ready"] is True
        running.process.send_signal(signal.SIGTERM)
        _, said = running.process.communicate(timeout=10)
    assert "curl" in said
    assert running.url in said


def test_fifty_callers_at_once_each_get_their_own_answer(tmp_path: Path):
    """The answers equal those that a lone caller gets, request after request."""
    texts = {caller: [f"caller {caller} asks {n}" for n in range(6)] for caller in range(50)}
    alone = FakeBundle()

    async def caller(http: httpx.AsyncClient, number: int) -> None:
        for position, text in enumerate(texts[number]):
            inputs = [text, *texts[number][:position]]
            request_id = f"caller-{number}-{position}"
            response = await http.post(
                "/v1/predict",
                json={"inputs": inputs, "parameters": {"scores": True}},
                headers={"x-request-id": request_id},
            )
            body = response.json()
            assert response.status_code == 200
            assert body["request_id"] == request_id
            assert body["predictions"] == alone.predict(inputs)

    async def everybody(url: str) -> None:
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30) as http:
            await asyncio.gather(*(caller(http, number) for number in texts))

    with service(tmp_path, seconds=0.002) as running:
        asyncio.run(everybody(running.url))


def test_sigterm_answers_what_runs_and_exits_0(tmp_path: Path):
    async def talk(running: Service) -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=running.url, timeout=30) as http:
            posts = [
                asyncio.create_task(http.post("/v1/predict", json={"inputs": [f"text {n}"]}))
                for n in range(5)
            ]
            await asyncio.sleep(0.4)
            running.process.send_signal(signal.SIGTERM)
            return await asyncio.gather(*posts)

    with service(tmp_path, seconds=1.0) as running:
        responses = asyncio.run(talk(running))
        assert [response.status_code for response in responses] == [200] * 5
        assert running.process.wait(timeout=10) == 0


def test_ctrl_c_exits_130(tmp_path: Path):
    with service(tmp_path) as running:
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(timeout=10) == 130


def test_a_caller_who_hangs_up_disturbs_nobody(tmp_path: Path):
    with service(tmp_path) as running:
        host, port = running.url.removeprefix("http://").split(":")
        for cut in (
            b"",
            b"POST /v1/predict HTTP/1.1\r\nContent-Length: 100\r\n\r\n{",
            b"\x00\xff\r\n\r\n",
        ):
            with socket.create_connection((host, int(port))) as raw:
                raw.sendall(cut)
        time.sleep(0.1)
        assert httpx.post(f"{running.url}/v1/predict", json={"inputs": ["a"]}).status_code == 200


def test_a_taken_port_is_told_with_another_one():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError) as caught:
            run([FakeBundle()], Settings(port=port))
    problem = caught.value.problem
    assert problem.code == "MW-710"
    assert str(port) in problem.seen
    assert "--port" in problem.fix


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "a" * 300])
def test_an_address_that_is_not_ours_is_told(host: str):
    with pytest.raises(UserError, match="MW-710"):
        bind(host, 0)


def test_a_bundle_that_fails_its_self_test_is_a_failed_gate(tmp_path: Path):
    broken = FakeBundle(fails=lambda text: True)
    with pytest.raises(GateError, match="MW-603"):
        run([broken], Settings(port=0))
    assert broken.closed


ADMIN = """
import sys
from pathlib import Path
from modelwright.serve import Settings, run
from modelwright.testing.doubles import FakeBundle
folder = Path(sys.argv[1])
settings = Settings(
    port=0, admin_port=0, bundles=folder, keys=folder / "keys.json", state=folder / "state.json"
)
sys.exit(run([FakeBundle().save(folder / "fake")], settings, as_json=True))
"""


def test_the_admin_port_is_another_one_and_ends_with_the_service(tmp_path: Path):
    texts, keys = zip(
        *(new_key("a", [scope], 0, "") for scope in ("predict", "admin")), strict=True
    )
    write_keys(tmp_path / "keys.json", keys)
    process = subprocess.Popen(
        [sys.executable, "-c", ADMIN, str(tmp_path)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    try:
        ready = json.loads(process.stdout.readline())
        predict, admin = ({"x-api-key": text} for text in texts)
        url = f"{ready['admin']}/admin/models"
        told = httpx.get(url, headers=admin).json()["models"]
        assert Path(told["fake"]["stable"]["bundle"]) == tmp_path / "fake"
        assert httpx.get(url, headers=predict).status_code == 403
        assert httpx.get(f"{ready['url']}/admin/models", headers=admin).status_code == 404
        body = {"inputs": ["a"]}
        url = f"{ready['url']}/v1/predict"
        assert httpx.post(url, json=body, headers=predict).status_code == 200
        assert json.loads((tmp_path / "state.json").read_text())["models"]["fake"]["stable"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.communicate()


def test_an_answer_in_two_parts_does_not_wait_for_an_acknowledgement() -> None:
    """Nagle's delay is off on accepted connections."""

    async def asked() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def accepted(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            found.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listener = bind("127.0.0.1", 0)
        async with await asyncio.start_server(accepted, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            writer.close()
            return await found

    assert asyncio.run(asked()) == 1
