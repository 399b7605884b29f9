"""Bodies are bounded, packed or not, and answers are packed for who accepts that."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from modelwright.serve import Settings, create_app
from modelwright.serve._body import Coming, Room, read_body, unpack
from modelwright.serve.problems import ServiceError
from modelwright.testing.doubles import FakeBundle

MOST = 2000


def post(body: bytes, encoding: str = "gzip", **headers: str) -> httpx.Response:
    with TestClient(create_app([FakeBundle()], Settings(max_body_bytes=MOST))) as opened:
        kind = {"content-type": "application/json", "content-encoding": encoding, **headers}
        return opened.post("/v1/predict", content=body, headers=kind)


def test_a_gzip_body_is_read():
    response = post(gzip.compress(b'{"inputs": ["hello"]}'))
    assert response.json()["predictions"][0]["label"]


PACKED = gzip.compress(b'{"inputs": ["hello"]}')


@pytest.mark.parametrize(
    ("body", "encoding", "status", "code"),
    [
        pytest.param(gzip.compress(b" " * 1_000_000), "gzip", 413, "MW-704", id="a bomb"),
        pytest.param(b"." * (MOST + 1), "gzip", 413, "MW-704", id="too large as it comes"),
        pytest.param(PACKED[:-4], "gzip", 400, "MW-701", id="its end missing"),
        pytest.param(PACKED + b"more", "gzip", 400, "MW-701", id="more behind it"),
        pytest.param(b"..", "gzip", 400, "MW-701", id="not gzip"),
        pytest.param(b"", "gzip", 400, "MW-701", id="nothing"),
        pytest.param(PACKED, "br", 415, "MW-705", id="another coding"),
        pytest.param(PACKED, "gzip, gzip", 415, "MW-705", id="packed twice"),
    ],
)
def test_what_is_too_large_or_no_gzip_is_told(body: bytes, encoding: str, status: int, code: str):
    response = post(body, encoding)
    assert (response.status_code, response.json()["code"]) == (status, code)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_unpacked_or_refused(data: bytes):
    assert unpack(gzip.compress(data), 400) == data
    try:
        assert len(unpack(data, 50)) <= 50
    except ServiceError as error:
        assert error.status in (400, 413)


def test_a_large_answer_is_packed_for_who_accepts_it():
    with TestClient(create_app([FakeBundle()])) as opened:
        asked = {"inputs": ["hello"] * 100, "parameters": {"scores": True}}
        plain = opened.post("/v1/predict", json=asked, headers={"accept-encoding": "identity"})
        packed = opened.post("/v1/predict", json=asked, headers={"accept-encoding": "br, gzip"})
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert int(packed.headers["content-length"]) < len(plain.content) / 5
        assert packed.json()["predictions"] == plain.json()["predictions"]
        small = opened.post("/v1/predict", json={"inputs": ["hello"]})
        assert "content-encoding" not in small.headers


def test_a_body_that_does_not_come_is_408():
    app = create_app([FakeBundle()], Settings(body_s=0.05))
    sent: list[Any] = []

    async def ask() -> None:
        async def receive() -> dict[str, Any]:
            await asyncio.Event().wait()
            return {}

        async def send(event: Any) -> None:
            sent.append(event)

        headers = [(b"content-type", b"application/json")]
        scope = {
            "type": "http", "method": "POST", "path": "/v1/predict", "headers": headers,
            "query_string": b"", "client": None, "scheme": "http",
        }  # fmt: skip
        await app(scope, receive, send)

    asyncio.run(ask())
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["code"] == "MW-707"
    assert (b"connection", b"close") in sent[0]["headers"]


def test_bodies_on_their_way_have_room_for_so_many_bytes_together():
    room = Room(100)
    with Coming(1000, 1.0, room) as alone, Coming(1000, 1.0, room) as other:
        alone.take(150)
        with pytest.raises(ServiceError) as caught:
            other.take(1)
        assert (caught.value.status, caught.value.reason) == (503, "bytes")
        alone.take(50)
    assert room.taken == 0


def test_a_body_takes_the_room_of_what_was_packed_in_it():
    packed = gzip.compress(b" " * 900)
    room = Room(1000)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": packed}

    async def read() -> None:
        with Coming(1000, 1.0, room) as coming:
            body = await read_body({}, {"content-encoding": "gzip"}, receive, coming)
            assert room.taken == len(body) == 900

    asyncio.run(read())
    assert room.taken == 0
