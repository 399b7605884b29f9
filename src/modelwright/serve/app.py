"""The ASGI application: routes, request ids, error documents and request metrics.

Everything that knows HTTP is here; everything that knows models is behind `Service`. Each protocol
plug brings one POST route. `Envelope` is the outermost layer: whatever happens inside, a request
leaves with an id, a counted status and, if it failed, a problem document.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route, Router

from modelwright import plugs
from modelwright.serve._openapi import openapi
from modelwright.serve._service import Service
from modelwright.serve.page import CSP, render
from modelwright.serve.problems import PROBLEM_JSON, ServiceError
from modelwright.serve.protocols import Answer, Message, Protocol
from modelwright.serve.settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send
    from starlette.types import Message as Event

    from modelwright.engines import Bundle

Handler = Callable[[Request], Awaitable[Response]]

_LOG = logging.getLogger("modelwright.serve")
_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_BIG = 200_000
"""Bodies above this many bytes are parsed in a thread, so that they stall nobody."""
CLIENT_LEFT = 499


@dataclass(slots=True)
class Exchange:
    """What is known of a request while it is answered."""

    request_id: str
    model: str = ""
    version: str = ""


def create_app(bundles: Sequence[Bundle], settings: Settings | None = None) -> ASGIApp:
    """The application for some bundles; each has passed or failed its self-test on return.

    Args:
        bundles: opened bundles; the first answers requests that name no model.
        settings: see `Settings`.

    Returns:
        An ASGI application. Its `service` attribute is the `Service` behind it.

    Raises:
        UserError: MW-805 for no bundle or two of one name, MW-601 for a schema that can't be used.
    """
    settings = settings or Settings()
    service = Service(bundles, settings)
    routes: list[Route] = [
        Route(protocol.route, _predict(service, protocol), methods=["POST"])
        for protocol in _protocols(settings)
    ]
    routes += _reading(service)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.close, settings.drain_s)

    return Envelope(Router(routes, redirect_slashes=False, lifespan=lifespan), routes, service)


def _protocols(settings: Settings) -> list[Protocol]:
    limits = {"max_items": settings.max_items, "max_depth": settings.max_depth}
    found: list[Protocol] = []
    for name in plugs.names("protocol"):
        plug = plugs.load("protocol", name)
        known = {key: limits[key] for key in limits if key in plug.config.model_fields}
        found.append(plug.cls(plug.config(**known)))
    return found


@final
class Envelope:
    """The outermost layer: ids, 404 and 405, OPTIONS, unexpected failures, counting."""

    def __init__(self, app: ASGIApp, routes: Sequence[Route], service: Service) -> None:
        self.app, self.routes, self.service = app, routes, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), CLIENT_LEFT
        exchange = scope["modelwright"] = Exchange(_request_id(scope))
        route, refusal = self._route(scope, exchange)

        async def send_on(event: Event) -> None:
            nonlocal status
            if event["type"] == "http.response.start":
                status = event["status"]
                event["headers"] = [
                    *event["headers"],
                    (b"x-request-id", exchange.request_id.encode("latin-1")),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(event)

        try:
            await (refusal or self.app)(scope, receive, send_on)
        except ClientDisconnect:
            status = CLIENT_LEFT
        except Exception:  # noqa: BLE001 - the last net: MW-709, and the service goes on
            _LOG.exception("request %s failed", exchange.request_id)
            if status == CLIENT_LEFT:
                error = ServiceError("MW-709", "the service failed", fix="report the request_id")
                await _problem(error, exchange)(scope, receive, send_on)
        finally:
            self._count(exchange, route, status, time.perf_counter() - began)

    def _route(self, scope: Scope, exchange: Exchange) -> tuple[str, Response | None]:
        """The route's path, and the answer when no handler is to be asked."""
        for route in self.routes:
            match, _ = route.matches(scope)
            if match == Match.NONE:
                continue
            allow = {"Allow": ", ".join(sorted({*(route.methods or ()), "OPTIONS"}))}
            if match == Match.FULL:
                return route.path, None
            if scope["method"] == "OPTIONS":
                return route.path, Response(status_code=204, headers=allow)
            detail = f"{scope['method'][:16]} is not allowed on {route.path}"
            fix = f"use {allow['Allow']}"
            error = ServiceError("MW-703", detail, fix=fix, status=405, headers=allow)
            return route.path, _problem(error, exchange)
        paths = ", ".join(route.path for route in self.routes)
        error = ServiceError("MW-703", "there is no such route", fix=f"one of: {paths}")
        return "other", _problem(error, exchange)

    def _count(self, exchange: Exchange, route: str, status: int, seconds: float) -> None:
        metrics, key = self.service.metrics, (exchange.model, exchange.version, route)
        metrics.requests.labels(*key, str(status)).inc()
        metrics.request_seconds.labels(*key).observe(seconds)


def _predict(service: Service, protocol: Protocol) -> Handler:
    """The handler of one protocol's route."""

    async def endpoint(request: Request) -> Response:
        exchange: Exchange = request.scope["modelwright"]
        try:
            body = await _body(request, service.settings.max_body_bytes)
            content_type = request.headers.get("content-type", "")
            message = Message(body, content_type, request.path_params)
            parse = protocol.parse
            parsed = parse(message) if len(body) < _BIG else await asyncio.to_thread(parse, message)
            model = service.find(parsed.model)
            exchange.model, exchange.version = model.name, model.version
            predictions = await service.predict(model, parsed, len(body))
            answer = Answer(model.name, model.version, predictions, exchange.request_id)
            return Response(protocol.render(answer), media_type=protocol.media_type)
        except ServiceError as error:
            return Response(
                protocol.render_error(error, exchange.request_id),
                error.status,
                headers=dict(error.headers),
                media_type=protocol.error_media_type,
            )

    return endpoint


async def _body(request: Request, most: int) -> bytes:
    """The request's body, never more than `most` bytes of it."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ServiceError("MW-705", "a compressed body is not accepted", fix="send it plain")
    too_large = ServiceError(
        "MW-704",
        f"the body is larger than {most:,} bytes",
        fix="send fewer inputs a request",
        headers={"Connection": "close"},
    )
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and len(declared) < 20 and int(declared) > most:
        raise too_large
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


def _reading(service: Service) -> list[Route]:
    """The routes that only tell something; what never changes is rendered once."""
    models = list(service.models.values())
    document = json.dumps(openapi(models), ensure_ascii=False).encode()
    listing = {"object": "list", "data": [_listed(model) for model in models]}
    html = render(models)

    async def page(_: Request) -> Response:
        headers = {"Content-Security-Policy": CSP, "Referrer-Policy": "no-referrer"}
        return Response(html, media_type="text/html", headers=headers)

    async def list_models(_: Request) -> Response:
        return JSONResponse(listing)

    async def describe(_: Request) -> Response:
        return Response(document, media_type="application/json")

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_: Request) -> Response:
        state = service.state()
        return JSONResponse(state, 200 if state["ready"] else 503)

    async def metrics(_: Request) -> Response:
        text, content_type = service.metrics.expose()
        return Response(text, headers={"Content-Type": content_type})

    table: dict[str, Handler] = {
        "/": page,
        "/v1/models": list_models,
        "/openapi.json": describe,
        "/health/live": live,
        "/health/ready": ready,
        "/metrics": metrics,
    }
    return [Route(path, handler, methods=["GET"]) for path, handler in table.items()]


def _listed(model: Any) -> dict[str, Any]:
    manifest = model.manifest
    return {
        "id": model.name,
        "object": "model",
        "created": _epoch(manifest.get("created", "")),
        "owned_by": "modelwright",
        "version": model.version,
        "task": manifest["task"],
        "variant": model.bundle.variant.get("name", ""),
        "labels": manifest.get("labels") or [],
        "limits": manifest.get("limits", {}),
        "quality": manifest.get("quality", {}),
    }


def _epoch(text: str) -> int:
    from calendar import timegm

    try:
        return timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        return 0


def _request_id(scope: Scope) -> str:
    """The caller's X-Request-Id where it is harmless, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(text := value.decode("latin-1")):
            return text
    return uuid.uuid4().hex


def _problem(error: ServiceError, exchange: Exchange) -> Response:
    body = json.dumps(error.as_dict(exchange.request_id), ensure_ascii=False)
    headers = dict(error.headers)
    return Response(body, error.status, headers=headers, media_type=PROBLEM_JSON)
