"""Requests that nobody would send, made from a service's own schema, and what its answers must be.

Two sources, half and half: schemathesis makes requests that /openapi.json allows and such that it
does not; the rest are bodies of the words that the routes know in any shape, with any header that
means something, some of their bytes changed. Every answer must come, be no failure (500 and its
like; 503 and 504 are right where the caller gave a deadline), have an id and, when it is a refusal,
a code. Nothing here knows how a request is sent.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

HOST = "http://127.0.0.1"
KEPT = 20
"""Faults that are told in full."""
WORDS = (
    "inputs", "input", "model", "parameters", "text", "text_pair", "image", "scores", "top_k", "name",
    "shape", "datatype", "data", "outputs", "id", "request_id", "index", "label", "dimensions",
    "encoding_format", "binary_data_size", "binary_data_output", "BYTES", "float", "base64",
)  # fmt: skip
HEADERS = {
    "X-Deadline-Ms": ["1", "50", "0", "-1", "1e3", "9" * 30, "", "\u0665"],
    "X-Request-Id": ["a", "a b", "x" * 300, "../..", "%00"],
    "Content-Encoding": ["gzip", "identity", "br", "gzip, gzip"],
    "Inference-Header-Content-Length": ["0", "5", "-1", "9" * 30, "a"],
    "Accept-Encoding": ["gzip", "*", "gzip;q=0"],
    "traceparent": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00", "f" * 200],
    "Authorization": ["Bearer mw_a_b", "Basic !!!", "Bearer"],
    "Range": ["bytes=0-1,2-3"],
}
KINDS = (
    "application/json", "application/json; charset=utf-16", "multipart/form-data; boundary=x",
    "application/octet-stream", "text/plain", "", "application/x-pickle", "a" * 300,
)  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """A request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def told(self) -> dict[str, Any]:
        """What a report says of it."""
        shown = self.body[:400].decode("latin-1")
        return {"method": self.method, "path": self.path[:200], "headers": dict(self.headers),
                "body": shown, "bytes": len(self.body)}  # fmt: skip


@dataclass(frozen=True)
class Got:
    """An answer; status 0 for none, and why."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    why: str = ""


@dataclass
class Tally:
    """What came of all requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[dict[str, Any]] = field(default_factory=list)
    wrong: int = 0
    unsent: int = 0

    @property
    def cases(self) -> int:
        return self.statuses.total()

    def note(self, sent: Sent, got: Got) -> None:
        """Count an answer, and keep what is wrong with it."""
        self.statuses[got.status] += 1
        if why := fault(sent, got):
            self.wrong += 1
            if len(self.faults) < KEPT:
                answer = got.body[:400].decode("latin-1")
                self.faults.append({"why": why, **sent.told(), "answer": answer})


class UnsendableError(Exception):
    """The client refuses to put it on the wire."""


Send = Callable[[Sent], Got]


def fuzz(document: dict[str, Any], send: Send, cases: int, start: int = 0) -> Tally:
    """Send about so many requests; the same ones for the same `start`."""
    tally = Tally()

    def each(sent: Sent) -> None:
        try:
            tally.note(sent, send(sent))
        except UnsendableError:
            tally.unsent += 1

    sources = list(from_schema(document))
    for number, source in enumerate(sources):
        drawn(source, cases // 2 // len(sources), start + number, each)
    paths = [path for path, item in document["paths"].items() if "post" in item]
    drawn(from_words(paths), cases - tally.cases, start, each)
    return tally


def drawn(
    source: st.SearchStrategy[Sent], count: int, start: int, each: Callable[[Sent], None]
) -> None:
    """Draw requests from a source; nothing is kept on disk or made smaller."""

    @seed(start)
    @settings(
        max_examples=max(1, count), deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(source)
    def run(sent: Sent) -> None:
        each(sent)

    run()


def fault(sent: Sent, got: Got) -> str:
    """What is wrong with an answer, or nothing."""
    if not got.status:
        return f"no answer: {got.why}"
    hurried = any(name.lower() == "x-deadline-ms" for name in sent.headers)
    if got.status >= 500 and not (hurried and got.status in (503, 504)):
        return f"status {got.status}"
    if "x-request-id" not in got.headers:
        return "no request id"
    if got.status < 400 or sent.method == "HEAD" or b'"ready":' in got.body:
        return ""
    try:
        told = json.loads(got.body)
    except ValueError:
        return "a refusal that is not JSON"
    return "" if "MW-7" in json.dumps(told) else "a refusal without a code"


# -- sources --------------------------------------------------------------------------------------
def from_schema(document: dict[str, Any]) -> Iterator[st.SearchStrategy[Sent]]:
    """For every route that takes something, requests that its schema allows, and others."""
    import schemathesis
    from schemathesis import GenerationMode

    loaded = schemathesis.openapi.from_dict(document)
    for found in loaded.get_all_operations():
        operation = found.ok()
        if operation.body or len(operation.path_parameters) or len(operation.headers):
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                yield operation.as_strategy(generation_mode=mode).map(_sent)


def _sent(case: Any) -> Sent:
    """A request of schemathesis as bytes."""
    import requests

    prepared = requests.Request(**case.as_transport_kwargs(base_url=HOST)).prepare()
    body = prepared.body or b""
    content = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)
    path = (prepared.url or HOST).removeprefix(HOST) or "/"
    return Sent(prepared.method or "GET", path, dict(prepared.headers), content)


def from_words(paths: list[str]) -> st.SearchStrategy[Sent]:
    """Bodies of known words in any shape, with headers, some bytes changed."""
    leaf = (
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
        | st.sampled_from(WORDS) | st.sampled_from([10**400, -(10**30), 1e308, "a" * 3000])
    )  # fmt: skip
    value = st.recursive(
        leaf,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=4)
        ),
        max_leaves=12,
    )
    inputs = st.fixed_dictionaries({"inputs": st.lists(value, max_size=4)})
    bodies = st.binary(max_size=200) | (value | inputs).map(lambda one: json.dumps(one).encode())
    headers = st.dictionaries(st.sampled_from(sorted(HEADERS)), st.integers(0, 99), max_size=2)
    return st.builds(
        _shaken,
        st.sampled_from([*paths, "/", "/v1/models", "/nothing", "/%2e%2e/etc", "/v2/models/%00/infer"]),
        st.sampled_from(["POST"] * 8 + ["GET", "PUT", "PURGE"]),
        bodies,
        st.sampled_from((KINDS[0],) * 6 + KINDS),
        headers,
        st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=2),
    )  # fmt: skip


def _shaken(
    path: str, method: str, body: bytes, kind: str, chosen: Mapping[str, int],
    changes: list[tuple[int, int]],
) -> Sent:  # fmt: skip
    headers = {name: HEADERS[name][place % len(HEADERS[name])] for name, place in chosen.items()}
    if kind:
        headers["Content-Type"] = kind
    data = bytearray(body)
    for place, byte in changes:
        if data:
            data[place % len(data)] = byte
    content = bytes(data)
    if headers.get("Content-Encoding") == "gzip" and len(data) % 2:
        content = gzip.compress(content, mtime=0)
    path = path.replace("{name}", "fake").replace("{version}", "1")
    return Sent(method, path, headers, content)
