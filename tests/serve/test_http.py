"""What comes before a request is bounded: its head, its time, how many connections."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from modelwright.serve import Settings, create_app
from modelwright.serve.stage import _config, bind
from modelwright.testing.doubles import FakeBundle

BODY = b'{"inputs": ["hello"]}'
WHOLE = (
    b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


@contextmanager
def served(settings: Settings) -> Iterator[int]:
    with serving(settings) as (port, _):
        yield port


@contextmanager
def serving(settings: Settings) -> Iterator[tuple[int, set[Any]]]:
    """Its port, and the connections that are open."""
    import uvicorn

    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(_config(create_app([FakeBundle()], settings), settings, None))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield listener.getsockname()[1], server.server_state.connections
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served(Settings(max_head_bytes=4000, head_s=0.3)) as found:
        yield found


def talk(port: int, *parts: bytes) -> tuple[int, bytes]:
    """Send the parts, then read until the other side closes or an answer is whole."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
        return answered(raw, *parts)


def answered(raw: socket.socket, *parts: bytes) -> tuple[int, bytes]:
    """The same on a connection that is open."""
    try:
        for part in parts:
            raw.sendall(part)
    except OSError:
        pass
    data = b""
    while True:
        try:
            chunk = raw.recv(65536)
        except ConnectionResetError:
            break
        data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        size = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-l")]
        if not chunk or (size and len(body) >= int(size[0].split(b":")[1])):
            break
    return int(data.split(b" ")[1]) if data else 0, data.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    "head",
    [
        b"X-Long: " + b"a" * 1_000_000,
        b"".join(b"X-%d: a\r\n" % number for number in range(20_000)),
        b"Cookie: " + b"a=b; " * 5_000,
    ],
)
def test_an_endless_head_is_431(port: int, head: bytes):
    start = b"GET /health/live HTTP/1.1\r\nHost: a\r\n"
    pieces = [head[at : at + 3000] for at in range(0, len(head), 3000)]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
        raw.sendall(start)
        time.sleep(0.05)  # the head comes in parts
        try:
            for piece in pieces:
                raw.sendall(piece)
        except OSError:
            pass
    assert talk(port, WHOLE)[0] == 200
    status, body = talk(port, start, *(piece for piece in pieces[:4]))
    if status:  # the answer may be lost when the rest is still being sent
        assert (status, json.loads(body)["code"]) == (431, "MW-704")


def test_a_long_head_that_comes_at_once_with_its_body_is_431(port: int):
    head, body = WHOLE.split(b"\r\n\r\n")
    long = head + b"\r\nX-Long: " + b"a" * 5000 + b"\r\n\r\n" + body
    status, said = talk(port, long)
    assert (status, json.loads(said)["code"]) == (431, "MW-704")
    assert talk(port, WHOLE)[0] == 200


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\na b: c\r\n\r\n"]
)
def test_what_is_no_http_is_400_in_our_own_form(port: int, sent: bytes):
    status, said = talk(port, sent)
    assert (status, json.loads(said)["code"]) == (400, "MW-701")


@pytest.mark.parametrize("sent", [b"", b"GET /health/live HT", b"POST / HTTP/1.1\r\nHost: a\r\n"])
def test_a_head_that_does_not_come_is_408(port: int, sent: bytes):
    status, body = talk(port, sent)
    assert (status, json.loads(body)["code"]) == (408, "MW-707")


def test_the_last_piece_of_a_body_is_no_long_head(port: int):
    large = json.dumps({"inputs": ["hello " * 2000] * 5}).encode()
    request = WHOLE.replace(BODY, large).replace(b"%d" % len(BODY), b"%d" % len(large), 1)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
        for start, end in ((0, 1000), (1000, 30_000), (30_000, len(request))):
            raw.sendall(request[start:end])
            time.sleep(0.05)  # so that it comes in pieces
        assert raw.recv(65536).startswith(b"HTTP/1.1 200")


def test_requests_after_each_other_and_large_bodies_are_no_long_heads(port: int):
    large = json.dumps({"inputs": ["hello " * 2000] * 5}).encode()
    request = WHOLE.replace(BODY, large).replace(b"%d" % len(BODY), b"%d" % len(large), 1)
    for _ in range(3):
        assert talk(port, request)[0] == 200
    with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
        raw.sendall(WHOLE * 40)  # pipelined
        data = b""
        while data.count(b"request_id") < 40 or not data.endswith(b"}"):
            chunk = raw.recv(65536)
            assert chunk, data[-500:]
            data += chunk
        time.sleep(0.5)  # idle for longer than a head may take
        raw.sendall(WHOLE)
        assert raw.recv(65536).startswith(b"HTTP/1.1 200")


def test_an_answer_is_one_piece_and_who_waits_to_send_is_told_to(port: int):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
        raw.sendall(WHOLE)
        assert json.loads(raw.recv(65536).partition(b"\r\n\r\n")[2])["predictions"]
        head, _, body = WHOLE.partition(b"\r\n\r\n")
        raw.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert raw.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.sendall(body)
        assert json.loads(raw.recv(65536).partition(b"\r\n\r\n")[2])["predictions"]


def test_further_connections_are_closed():
    with served(Settings(max_connections=2)) as port:
        kept = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(2)]
        for one in kept:
            assert answered(one, WHOLE)[0] == 200
        with socket.create_connection(("127.0.0.1", port), timeout=20) as third:
            try:
                third.sendall(WHOLE)
                assert third.recv(100) == b""
            except ConnectionError:
                pass
        assert answered(kept[0], WHOLE)[0] == 200
        for one in kept:
            one.close()


def closed_by_the_service(raw: socket.socket) -> bool:
    """Whether nothing more comes; waits for that."""
    try:
        while raw.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


def test_a_body_that_goes_on_after_its_answer_is_not_waited_for():
    with served(Settings(body_s=0.3)) as port:
        head = b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
            status, _ = answered(raw, head, b".")
            assert status == 404
            assert closed_by_the_service(raw)


def test_who_does_not_read_an_answer_loses_the_connection():
    body = json.dumps({"inputs": ["hello"] * 1000, "parameters": {"scores": True}}).encode()
    head = b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    request = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with serving(Settings(body_s=0.3)) as (port, connections), socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", port))
        raw.sendall(request)
        while not connections:
            pass
        raw.setblocking(False)
        for _ in range(100):  # answers that are more than the buffers of both ends hold
            try:
                raw.send(request)
            except (BlockingIOError, ConnectionError):
                break
        while connections:
            pass
