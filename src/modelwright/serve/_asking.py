"""The application of a protocol's route: body in, `Service` asked, answer or error out.

It speaks ASGI itself: starlette's Request, its stack of handlers and its Response would take as
long as all the rest of the event loop's work for a short text (docs/lab.md).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

from starlette.requests import Request
from starlette.responses import Response

from modelwright.serve._body import packed, read_body
from modelwright.serve._keys import Key
from modelwright.serve._reading import Handler
from modelwright.serve._service import Call, Service, while_wanted
from modelwright.serve._stages import Stages
from modelwright.serve.problems import ServiceError
from modelwright.serve.protocols import Answer, Message, Protocol, Reply

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_BIG, _MANY = 200_000, 100
"""Bodies of so many bytes, and answers of so many predictions, are read and written in a thread, so
that they stall nobody."""


@dataclass(slots=True)
class Exchange:
    """What is known of a request while it is answered.

    Attributes:
        request_id: the caller's, or made up.
        began: when its head had come, in seconds of the monotonic clock.
        key: whose it is, where keys are asked for.
        model: the model that it means, once that is known.
        version: of that model.
        headers: of the request, names in lower case; of repeated ones the first.
        stages: where its time goes.
        trace_id: of the trace that it belongs to, if any.
    """

    request_id: str
    began: float = 0.0
    key: Key | None = None
    model: str = ""
    version: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    stages: Stages = field(default_factory=Stages)
    trace_id: str = ""


@final
class Asking:
    """The ASGI application of one protocol's routes."""

    def __init__(self, service: Service, protocol: Protocol) -> None:
        self._service, self._protocol = service, protocol

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = scope["modelwright"]
        incoming = Incoming(scope, receive, exchange)
        try:
            reply = await _answer(self._service, self._protocol, incoming, exchange)
            if len(reply.body) >= _BIG:
                body, more = await asyncio.to_thread(packed, reply.body, exchange.headers)
            else:
                body, more = packed(reply.body, exchange.headers)
        except ServiceError as error:
            self._service.metrics.refused(exchange.model, error)
            await failing(self._protocol, error, exchange)(scope, receive, send)
            return
        await send(_start(reply, len(body), more))
        await send({"type": "http.response.body", "body": body})


@final
class Incoming:
    """A request to a protocol's route."""

    __slots__ = ("client", "headers", "path_params", "receive", "scope")

    def __init__(self, scope: Scope, receive: Receive, exchange: Exchange) -> None:
        self.scope, self.receive, self.headers = scope, receive, exchange.headers
        self.client: str = scope["client"][0] if scope.get("client") else ""
        self.path_params: Mapping[str, str] = scope.get("path_params", {})


def _start(reply: Reply, size: int, more: Mapping[str, str]) -> dict[str, Any]:
    """The head of a response, as ASGI has it."""
    headers = [(b"content-length", b"%d" % size)]
    if reply.media_type:
        headers.append((b"content-type", reply.media_type.encode("latin-1")))
    for name, value in (*reply.headers.items(), *more.items()):
        headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))
    return {"type": "http.response.start", "status": reply.status, "headers": headers}


def telling(service: Service, protocol: Protocol, route: str) -> Handler:
    """The handler of a route by which a protocol only tells something."""

    async def endpoint(request: Request) -> Response:
        reply = protocol.tell(route, request.path_params, service.standing())
        return responding(reply, request)

    return endpoint


def responding(reply: Reply, request: Request) -> Response:
    """A protocol's reply, packed where the caller accepts it."""
    body, more = packed(reply.body, request.headers)
    headers = {**reply.headers, **more}
    return Response(body, reply.status, headers=headers, media_type=reply.media_type or None)


def failing(protocol: Protocol, error: ServiceError, exchange: Exchange) -> Response:
    """An error in the protocol's form."""
    return Response(
        protocol.render_error(error, exchange.request_id),
        error.status,
        headers=dict(error.headers),
        media_type=protocol.error_media_type,
    )


async def _answer(
    service: Service, protocol: Protocol, request: Incoming, exchange: Exchange
) -> Reply:
    limits, deadline, gone = service.settings, _deadline(request), _gone(request)
    seconds = min(deadline or math.inf, limits.deadline_s)
    with service.coming(limits.max_body_bytes) as coming:
        body = await read_body(request.scope, request.headers, request.receive, coming)
        content_type = request.headers.get("content-type", "")
        message = Message(body, content_type, request.path_params, request.headers)
        began = time.monotonic()
        if len(body) < _BIG:
            parsed = protocol.parse(message)
        else:
            parsing = asyncio.to_thread(protocol.parse, message)
            parsed = await while_wanted(parsing, exchange.began, seconds, gone)
    exchange.stages.note("parse", began)
    service.charge(exchange.key, len(parsed.inputs))
    model = service.find(parsed.model, parsed.version, exchange.request_id)
    exchange.model, exchange.version = model.name, model.version
    call = Call(
        len(body),
        _caller(request, exchange),
        exchange.began,
        exchange.request_id,
        deadline,
        gone,
        exchange.stages,
        exchange.trace_id,
    )
    try:
        model, predictions = await service.predict(model, parsed, call)
        exchange.version, began = model.version, time.monotonic()
        answer = Answer(model.name, model.version, predictions, exchange.request_id, parsed.context)
        many = len(predictions) >= _MANY
        reply = await asyncio.to_thread(protocol.reply, answer) if many else protocol.reply(answer)
        exchange.stages.note("encode", began)
        return reply
    finally:
        model.meters.pass_through(exchange.stages)


def _caller(request: Incoming, exchange: Exchange) -> str:
    return exchange.key.id if exchange.key is not None else request.client


def _gone(request: Incoming) -> Callable[[], Awaitable[None]]:
    async def wait() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return wait


def _deadline(request: Incoming) -> float:
    """Seconds that the caller gives in X-Deadline-Ms; 0 where it gives none.

    Raises:
        ServiceError: MW-702.
    """
    given = request.headers.get("x-deadline-ms")
    if given is None:
        return 0.0
    if not (given.isascii() and given.isdigit() and len(given) < 10 and int(given)):
        fix = "send whole milliseconds, from 1, like X-Deadline-Ms: 500"
        raise ServiceError("MW-702", "is not a number", field="X-Deadline-Ms", fix=fix)
    return int(given) / 1000
