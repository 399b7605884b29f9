"""Requests that no honest client sends, as bytes on the wire; the standard library alone.

Each kind names the statuses that are right for it. `CLOSED` stands for a connection that was closed
without an answer, which is right where the caller never finished its request. Refusals that mean
the service failed (500 and its like) are right nowhere.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass

CLOSED = "closed"
MODEL = "/v1/predict"


@dataclass(frozen=True)
class Hostile:
    """One kind.

    Attributes:
        make: the bytes, from a source of chance.
        right: statuses that are right for it.
        hangs_up: the caller closes its side once they are sent.
    """

    make: Callable[[random.Random], bytes]
    right: tuple[str, ...]
    hangs_up: bool = False


def post(path: str, body: bytes, *more: str, kind: str = "application/json") -> bytes:
    """A whole request."""
    lines = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Type: {kind}", *more]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def _inputs(*inputs: object, **more: object) -> bytes:
    return json.dumps({"inputs": list(inputs), **more}).encode()


def _mutated(chance: random.Random) -> bytes:
    """A good request with some bytes of its body changed."""
    body = bytearray(_inputs("my card is lost", {"text": "hello"}, parameters={"top_k": 2}))
    for _ in range(chance.randint(1, 8)):
        body[chance.randrange(len(body))] = chance.randrange(256)
    return post(MODEL, bytes(body))


def _letters(chance: random.Random) -> bytes:
    """Any characters that JSON can carry: controls, private use, marks upon marks, other scripts."""
    ranges = ((0, 32), (0x300, 0x36F), (0x200B, 0x200F), (0xE000, 0xE0FF), (0x1F300, 0x1FAFF))
    low, high = chance.choice(ranges)
    return post(MODEL, _inputs("".join(chr(chance.randint(low, high)) for _ in range(400))))


def _nowhere(chance: random.Random) -> bytes:
    return post(f"/{chance.getrandbits(64):x}", b"{}")


def _unknown(chance: random.Random) -> bytes:
    return post(MODEL, _inputs("a", model=f"model-{chance.getrandbits(64):x}"))


def _noise(chance: random.Random) -> bytes:
    return chance.randbytes(200) + b"\r\n\r\n"


def _shape(chance: random.Random) -> bytes:
    tensor = {"name": "text", "datatype": "BYTES", "data": ["a"]}
    body = {"inputs": [{**tensor, "shape": [chance.randint(2, 2**60)]}]}
    return post("/v2/models/{model}/infer", json.dumps(body).encode())


_BOMB = gzip.compress(b" " * 12_000_000)
KINDS: dict[str, Hostile] = {
    "changed bytes": Hostile(_mutated, ("200", "400", "422")),
    "strange letters": Hostile(_letters, ("200", "422")),
    "noise": Hostile(_noise, ("400", "408", CLOSED)),
    "no route": Hostile(_nowhere, ("404",)),
    "no such model": Hostile(_unknown, ("404",)),
    "a shape that lies": Hostile(_shape, ("422", "404")),
    "half a JSON": Hostile(lambda _: post(MODEL, b'{"inputs": ["a"'), ("400",)),
    "nested": Hostile(lambda _: post(MODEL, b"[" * 50_000), ("400",)),
    "many inputs": Hostile(lambda _: post(MODEL, _inputs(*["a"] * 2000)), ("413",)),
    "empty inputs": Hostile(lambda _: post(MODEL, _inputs(*[""] * 1000)), ("422",)),
    "a long text": Hostile(
        lambda chance: post(MODEL, _inputs("word " * chance.randint(5_000, 39_000))),
        ("200", "503", "504"),
    ),
    "a text beyond the limit": Hostile(lambda _: post(MODEL, _inputs("a" * 200_001)), ("422",)),
    "a number without end": Hostile(
        lambda _: post(MODEL, b'{"inputs": [' + b"9" * 5000 + b"]}"), ("400", "422")
    ),
    "a bomb": Hostile(lambda _: post(MODEL, _BOMB, "Content-Encoding: gzip"), ("413",)),
    "a large body": Hostile(
        lambda _: b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 900000000\r\n"
        b"Content-Type: application/json\r\n\r\n{",
        ("413",),
    ),
    "a long head": Hostile(
        lambda _: post(MODEL, b"{}", *[f"X-{n}: {'a' * 500}" for n in range(60)]), ("431", CLOSED)
    ),
    "no time": Hostile(
        lambda _: post(MODEL, _inputs(*["a text"] * 32), "X-Deadline-Ms: 1"),
        ("200", "503", "504"),
    ),
    "another type": Hostile(
        lambda _: post(MODEL, b"\x80\x04\x95", kind="application/x-pickle"), ("415",)
    ),
    "a form without end": Hostile(
        lambda _: post(MODEL, b"--x\r\n" * 2000, kind="multipart/form-data; boundary=x"), ("400", "413")
    ),
    "numbers of tokens": Hostile(
        lambda _: post("/v1/embeddings", b'{"input": [[1, 2, 3]], "model": "a"}'), ("422",)
    ),
    "a caller who leaves": Hostile(
        lambda _: post(MODEL, _inputs(*["a text that is asked for nothing"] * 64)),
        ("200", "503", CLOSED), hangs_up=True,
    ),
    "half a request": Hostile(
        lambda _: post(MODEL, _inputs("a"))[:-5], ("400", "408", CLOSED), hangs_up=True
    ),
}  # fmt: skip
