"""The handler of a protocol's route: body in, `Service` asked, answer or error out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from modelwright.serve._body import packed, read_body
from modelwright.serve._keys import Key
from modelwright.serve._reading import Handler
from modelwright.serve._service import Call, Service
from modelwright.serve._stages import Stages
from modelwright.serve.problems import ServiceError
from modelwright.serve.protocols import Answer, Message, Protocol, Reply

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
        stages: where its time goes.
        trace_id: of the trace that it belongs to, if any.
    """

    request_id: str
    began: float = 0.0
    key: Key | None = None
    model: str = ""
    version: str = ""
    stages: Stages = field(default_factory=Stages)
    trace_id: str = ""


def asking(service: Service, protocol: Protocol) -> Handler:
    """The handler of one protocol's route."""

    async def endpoint(request: Request) -> Response:
        exchange: Exchange = request.scope["modelwright"]
        try:
            reply = await _answer(service, protocol, request, exchange)
            if len(reply.body) >= _BIG:
                return await asyncio.to_thread(responding, reply, request)
            return responding(reply, request)
        except ServiceError as error:
            return failing(protocol, error, exchange)

    return endpoint


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
    service: Service, protocol: Protocol, request: Request, exchange: Exchange
) -> Reply:
    limits, deadline = service.settings, _deadline(request)
    body = await read_body(request, limits.max_body_bytes, limits.body_s)
    content_type = request.headers.get("content-type", "")
    message = Message(body, content_type, request.path_params, request.headers)
    big, began = len(body) >= _BIG, time.monotonic()
    parsed = await asyncio.to_thread(protocol.parse, message) if big else protocol.parse(message)
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
        _gone(request),
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


def _caller(request: Request, exchange: Exchange) -> str:
    if exchange.key is not None:
        return exchange.key.id
    return request.client.host if request.client else ""


def _gone(request: Request) -> Callable[[], Awaitable[None]]:
    async def wait() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return wait


def _deadline(request: Request) -> float:
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
