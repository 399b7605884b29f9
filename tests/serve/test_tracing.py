"""Traces: a request's spans, the caller's trace, where they are sent, and nothing unless asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from modelwright.errors import UserError
from modelwright.serve import Settings, create_app
from modelwright.serve._logs import ACCESS, log_to_stderr
from modelwright.serve._stages import STAGES
from modelwright.serve._tracing import Tracing, trace_of, tracing_of
from modelwright.testing.doubles import FakeBundle

pytest.importorskip("opentelemetry.sdk")
SOURCE = Path(__file__).parents[2] / "src"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"  # the example of W3C Trace Context


@contextmanager
def traced(bundle: FakeBundle | None = None, **settings: Any) -> Iterator[tuple[TestClient, Any]]:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    provider, spans = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    app = create_app([bundle or FakeBundle()], Settings(**settings), Tracing(provider))
    with TestClient(app) as opened:
        yield opened, spans


def by_name(spans: Any) -> dict[str, Any]:
    return {span.name: span for span in spans.get_finished_spans()}


def test_a_request_is_a_span_and_its_stages_are_spans_in_it():
    with traced(FakeBundle(seconds=0.01)) as (opened, spans):
        answer = opened.post("/v1/predict", json={"inputs": ["a"]}, headers={"x-request-id": "r1"})
        found = by_name(spans)
    request = found.pop("POST /v1/predict")
    assert set(found) == set(STAGES)
    assert request.kind.name == "SERVER"
    assert request.parent is None
    assert dict(request.attributes) == {
        "http.request.method": "POST",
        "http.route": "/v1/predict",
        "http.response.status_code": 200,
        "modelwright.model": "fake",
        "modelwright.version": answer.json()["version"],
        "modelwright.request_id": "r1",
    }
    ends = request.start_time
    for name in STAGES:
        stage = found[name]
        assert stage.parent.span_id == request.context.span_id
        assert ends - 1e6 <= stage.start_time <= stage.end_time <= request.end_time + 1e6, name
        ends = stage.end_time
    spent = found["inference"].end_time - found["inference"].start_time
    assert spent >= 0.01 * 1e9


def test_a_callers_trace_goes_on_here():
    with traced() as (opened, spans):
        headers = {"traceparent": TRACEPARENT, "tracestate": "congo=t61rcWkgMzE"}
        opened.post("/v1/predict", json={"inputs": ["a"]}, headers=headers)
        request = by_name(spans)["POST /v1/predict"]
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == PARENT
    assert request.context.trace_state.get("congo") == "t61rcWkgMzE"


def test_what_a_caller_does_not_sample_is_not_recorded():
    with traced() as (opened, spans):
        headers = {"traceparent": TRACEPARENT[:-2] + "00"}
        opened.post("/v1/predict", json={"inputs": ["a"]}, headers=headers)
        assert spans.get_finished_spans() == ()


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "00",
        TRACEPARENT.upper(),
        TRACEPARENT.replace(TRACE, "0" * 32),
        TRACEPARENT.replace(PARENT, "0" * 16),
        TRACEPARENT + "\xff",
        TRACEPARENT.replace("-", "_"),
        "ff" * 5000,
        f"{TRACEPARENT}, {TRACEPARENT}",
    ],
)
def test_a_trace_that_is_none_begins_a_new_one(wrong: str):
    assert trace_of([(b"traceparent", wrong.encode("latin-1"))]) == ""
    with traced() as (opened, spans):
        headers = {"traceparent": wrong.encode("latin-1")}
        answer = opened.post("/v1/predict", json={"inputs": ["a"]}, headers=headers)
        assert answer.status_code == 200
        assert by_name(spans)["POST /v1/predict"].parent is None
    both = [(b"traceparent", TRACEPARENT.encode())] * 2
    assert trace_of(both) == ""


def test_failures_are_marked_and_refusals_are_not():
    with traced(FakeBundle(fails=lambda text: "poison" in text)) as (opened, spans):
        for body, status, marked in (
            ({"inputs": ["poison"]}, 500, "ERROR"),
            ({"inputs": []}, 422, "UNSET"),
        ):
            spans.clear()
            opened.post("/v1/predict", json=body)
            request = by_name(spans)["POST /v1/predict"]
            assert request.attributes["http.response.status_code"] == status
            assert request.status.status_code.name == marked


def test_probes_and_what_is_no_route_fill_no_trace_with_words_of_callers():
    with traced() as (opened, spans):
        for path in ("/health/live", "/health/ready", "/metrics", "/v2/health/live"):
            opened.get(path)
        assert spans.get_finished_spans() == ()
        opened.get("/some/secret?key=mw_1")
        [span] = spans.get_finished_spans()
    assert span.name == "GET other"
    assert "secret" not in json.dumps(dict(span.attributes))


def test_the_traces_id_is_in_the_logs_with_and_without_tracing(capsys: pytest.CaptureFixture[str]):
    bundle = FakeBundle(fails=lambda text: "poison" in text)
    log_to_stderr("json", access=True)
    try:
        with TestClient(create_app([bundle], Settings(access_log=True))) as opened:
            body = {"inputs": ["poison"]}
            opened.post("/v1/predict", json=body, headers={"traceparent": TRACEPARENT})
            opened.get("/v1/models")
        with traced(bundle, access_log=True) as (opened, spans):
            opened.get("/v1/models")
            [span] = spans.get_finished_spans()
    finally:
        ACCESS.disabled = False
    failed, first, second, third = map(json.loads, capsys.readouterr().err.splitlines())
    assert failed["message"] == "a model failed"
    assert (failed["trace_id"], first["trace_id"], second["trace_id"]) == (TRACE, TRACE, "")
    assert third["trace_id"] == f"{span.context.trace_id:032x}"


# -- where they are sent --------------------------------------------------------------------------
@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_SERVICE_NAME": "a"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_a_place_to_send_them_nothing_is_traced(variables: dict[str, str]):
    assert tracing_of(variables) is None


def test_another_protocol_than_http_is_told():
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    with pytest.raises(UserError, match="MW-805"):
        tracing_of(variables)


@contextmanager
def collector() -> Iterator[tuple[str, SimpleQueue[Any]]]:
    """An OTLP collector on loopback; what it receives goes into the queue."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    received: SimpleQueue[Any] = SimpleQueue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            import gzip

            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            received.put((self.path, ExportTraceServiceRequest.FromString(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


PROGRAM = """
import sys
from modelwright.serve import Settings, run
from modelwright.testing.doubles import FakeBundle
code = run([FakeBundle()], Settings(port=0), as_json=True)
print(sorted({name.split(".")[0] for name in sys.modules} & {"opentelemetry", "requests"}))
sys.exit(code)
"""


def talk(ask: Callable[[str], None], **variables: str) -> tuple[int, str]:
    """The service as a process, asked and stopped; its exit code and what it says at the end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True,
        env={**clean, "PYTHONPATH": str(SOURCE), **variables},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        ask(json.loads(process.stdout.readline())["url"])
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
        return process.returncode, said
    finally:
        process.kill()
        process.communicate()


def ask_once(url: str) -> None:
    headers = {"traceparent": TRACEPARENT}
    asked = httpx.post(f"{url}/v1/predict", json={"inputs": ["a"]}, headers=headers)
    assert asked.status_code == 200


def test_spans_are_sent_to_the_endpoint_of_the_environment_before_it_ends():
    with collector() as (endpoint, received):
        code, _ = talk(ask_once, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_SERVICE_NAME="intents")
        assert code == 0
        path, message = received.get(timeout=20)
    assert path == "/v1/traces"
    [sent] = message.resource_spans
    about = {one.key: one.value.string_value for one in sent.resource.attributes}
    assert about["service.name"] == "intents"
    spans = [span for scope in sent.scope_spans for span in scope.spans]
    assert {span.name for span in spans} == {"POST /v1/predict", *STAGES}
    assert {span.trace_id.hex() for span in spans} == {TRACE}


def test_a_collector_that_is_not_there_fails_no_request_and_holds_up_no_end():
    code, _ = talk(ask_once, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert code == 0


def test_nothing_of_it_is_imported_unless_it_is_asked_for():
    code, said = talk(ask_once)
    assert code == 0
    assert said.strip().splitlines()[-1] == "[]"
