"""Traces by OpenTelemetry: a span for each request, with one for each of its stages in it.

They are sent where the standard variables say (`OTEL_EXPORTER_OTLP_ENDPOINT` or
`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`); without one nothing of OpenTelemetry is imported. Sampling,
headers, names and times of sending follow the other `OTEL_*` variables. A request that brings a
`traceparent` (W3C Trace Context) is a part of its caller's trace; the trace's id is in the logs
either way.

    in:  headers of a request, its `Stages`, its status
    out: spans, in batches, to an OTLP collector over HTTP
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, final

from modelwright import __version__
from modelwright.errors import UserError
from modelwright.runtime.libraries import require
from modelwright.serve._stages import Stages

REQUIRES = {"opentelemetry.sdk": "telemetry", "opentelemetry.exporter": "telemetry"}
FLUSH_S = 3.0
"""The most that spans which were not sent may hold up the end of the process."""
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"
_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_QUIET = ("/health/", "/v2/health/", "/metrics")


def trace_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The id of the trace that a request says it belongs to, or ""."""
    found = ""
    for name, value in headers:
        if name == b"traceparent":
            known = _PARENT.fullmatch(value.decode("latin-1"))
            if found or known is None or not (int(known[1], 16) and int(known[2], 16)):
                return ""
            found = known[1]
    return found


def tracing_of(variables: Mapping[str, str] = os.environ) -> Tracing | None:
    """What the environment asks for, or None.

    Raises:
        UserError: MW-801 without the extra `telemetry`, MW-805 for another protocol than HTTP.
    """
    off = variables.get("OTEL_SDK_DISABLED", "").lower() == "true"
    off = off or variables.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp"
    if off or not any(variables.get(name) for name in _ENDPOINTS):
        return None
    for name in _PROTOCOLS:
        if variables.get(name, _SPOKEN) != _SPOKEN:
            raise UserError(
                "MW-805",
                f"{name} is {variables[name]}",
                expected=f"{_SPOKEN}, which every collector takes on port 4318",
                fix=f"unset {name}, and let the endpoint be the collector's HTTP port",
            )
    sdk = require("opentelemetry.sdk.trace", "telemetry")
    batches = require("opentelemetry.sdk.trace.export", "telemetry").BatchSpanProcessor
    http = require("opentelemetry.exporter.otlp.proto.http.trace_exporter", "telemetry")
    resources = require("opentelemetry.sdk.resources", "telemetry").Resource
    named = {} if variables.get("OTEL_SERVICE_NAME") else {"service.name": "modelwright"}
    about = resources.create({"service.version": __version__, **named})
    provider = sdk.TracerProvider(resource=about)
    provider.add_span_processor(batches(http.OTLPSpanExporter()))
    return Tracing(provider)


@final
class Tracing:
    """Makes spans of requests.

    Args:
        provider: an OpenTelemetry TracerProvider; it is shut down by `close`.
    """

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("modelwright.serve", __version__)
        self._api = require("opentelemetry.trace", "telemetry")
        context = require("opentelemetry.trace.propagation.tracecontext", "telemetry")
        self._w3c = context.TraceContextTextMapPropagator()

    def begin(self, scope: Mapping[str, Any], route: str) -> Any:
        """The span of a request, or None for probes."""
        if route.startswith(_QUIET):
            return None
        told = {}
        if trace_of(scope["headers"]):
            told = {
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in scope["headers"]
                if name in (b"traceparent", b"tracestate")
            }
        return self._tracer.start_span(
            f"{scope['method']} {route}",
            context=self._w3c.extract(told),
            kind=self._api.SpanKind.SERVER,
            attributes={"http.request.method": scope["method"], "http.route": route},
        )

    @staticmethod
    def id_of(span: Any) -> str:
        """The trace's id as logs have it."""
        return f"{span.get_span_context().trace_id:032x}"

    def end(self, span: Any, stages: Stages, status: int, **more: str) -> None:
        """Finish a request's span.

        Args:
            span: from `begin`.
            stages: become spans of their own.
            status: of the answer.
            more: attributes; empty ones are left out.
        """
        if span.is_recording():
            moment, now = time.time_ns(), time.monotonic()
            within = self._api.set_span_in_context(span)
            for name, began, ended in stages.passed:
                start, end = (moment - int((now - one) * 1e9) for one in (began, ended))
                self._tracer.start_span(name, context=within, start_time=start).end(end)
            span.set_attribute("http.response.status_code", status)
            for name, value in more.items():
                if value:
                    span.set_attribute(f"modelwright.{name}", value)
            if status >= 500:
                span.set_status(self._api.StatusCode.ERROR)
        span.end()

    def close(self) -> None:
        """Send what was not sent yet, if that does not take long."""
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(FLUSH_S)
