"""The ASGI application: routes, request ids, error documents and request metrics.

Everything that knows HTTP is here; everything that knows models is behind `Service`. Each protocol
plug brings one POST route. `Envelope` is the outermost layer: whatever happens inside, a request
leaves with an id, a counted status and, if it failed, a problem document.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, final

from starlette.responses import Response
from starlette.routing import Match, Route, Router

from modelwright import plugs
from modelwright.serve import _feedback
from modelwright.serve._asking import Asking, Exchange, failing, telling
from modelwright.serve._body import BodyCutError
from modelwright.serve._logs import log_request
from modelwright.serve._reading import reading
from modelwright.serve._service import CallerLeftError, Service
from modelwright.serve._tracing import Tracing, trace_of
from modelwright.serve.problems import PROBLEM_JSON, ServiceError
from modelwright.serve.protocols import Protocol
from modelwright.serve.settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send
    from starlette.types import Message as Event

    from modelwright.engines import Bundle

_LOG = logging.getLogger("modelwright.serve")
_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
CLIENT_LEFT = 499
OTHER = "other"
"""What every path that is no route counts as."""
OPEN = ("/health/", "/v2/health/")
"""Probes need no key."""
SCOPE_OF = {"/metrics": "metrics", _feedback.ROUTE: "feedback"}
"""What a key must allow; the other routes need `predict`."""


def create_app(
    bundles: Sequence[Bundle], settings: Settings | None = None, tracing: Tracing | None = None
) -> ASGIApp:
    """The application for some bundles; each has passed or failed its self-test on return.

    Args:
        bundles: opened bundles; the first answers requests that name no model.
        settings: see `Settings`.
        tracing: makes spans of requests; closed with the application.

    Returns:
        An ASGI application. Its `service` attribute is the `Service` behind it.

    Raises:
        UserError: MW-805 for no bundle or two of one name, MW-601 for a schema that can't be used.
    """
    settings = settings or Settings()
    service = Service(bundles, settings)
    protocols: dict[str, Protocol] = {}
    routes: list[Route] = []
    for protocol in _protocols(settings):
        asked = (protocol.route, *protocol.also)
        protocols.update(dict.fromkeys((*asked, *protocol.tells), protocol))
        routes += [Route(path, Asking(service, protocol), methods=["POST"]) for path in asked]
        routes += [Route(path, telling(service, protocol, path)) for path in protocol.tells]
    routes.append(Route(_feedback.ROUTE, _feedback.feedback(service), methods=["POST"]))
    documents = [protocol.document() for protocol in set(protocols.values())]
    routes += reading(service, [*documents, _feedback.document()])

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.close, settings.drain_s)
        if tracing is not None:
            await asyncio.to_thread(tracing.close)

    router = Router(routes, redirect_slashes=False, lifespan=lifespan)
    envelope = Envelope(router, routes, service, protocols, SCOPE_OF)
    envelope.tracing = tracing
    return envelope


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
    """The outermost layer: ids, keys, 404 and 405, OPTIONS, unexpected failures, counting."""

    def __init__(
        self,
        app: ASGIApp,
        routes: Sequence[Route],
        service: Service,
        protocols: Mapping[str, Protocol],
        scopes: Mapping[str, str],
    ) -> None:
        self.app, self.routes, self.service, self.protocols = app, routes, service, protocols
        self._scopes, self._ids = scopes, _new_ids()
        self.tracing: Tracing | None = None
        self._exact = {route.path: route for route in routes if "{" not in route.path}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.monotonic(), CLIENT_LEFT
        headers = _headers(scope)
        request_id = _sane_id(headers) or next(self._ids)
        exchange = scope["modelwright"] = Exchange(request_id, began, headers=headers)
        route = self._find(scope)
        path = route.path if route else OTHER
        exchange.trace_id = trace_of(scope["headers"])
        span = self.tracing.begin(scope, path) if self.tracing is not None else None
        if span is not None:
            exchange.trace_id = Tracing.id_of(span)

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
            self._admit(scope, exchange, path)
            answer = route.handle if route and _allowed(route, scope) else self._other(scope, route)
            await answer(scope, receive, send_on)
        except ServiceError as error:
            self.service.metrics.refused(exchange.model, error)
            await self._problem(error, exchange, path)(scope, receive, send_on)
        except (BodyCutError, CallerLeftError):
            status = CLIENT_LEFT
        except Exception:  # noqa: BLE001 - the last net: MW-709, and the service goes on
            fields = {"request_id": exchange.request_id, "route": path}
            _LOG.exception("the service failed on a request", extra={"fields": fields})
            if status == CLIENT_LEFT:
                error = ServiceError("MW-709", "the service failed", fix="report the request_id")
                await self._problem(error, exchange, path)(scope, receive, send_on)
        finally:
            self._count(exchange, path, status, time.monotonic() - began)
            if span is not None and self.tracing is not None:
                about = {"model": exchange.model, "version": exchange.version}
                about["request_id"] = exchange.request_id
                self.tracing.end(span, exchange.stages, status, **about)

    def _find(self, scope: Scope) -> Route | None:
        """The route of the path, whatever the method."""
        if (route := self._exact.get(scope["path"])) is not None:
            return route
        for route in self.routes:
            match, child = route.matches(scope)
            if match != Match.NONE:
                scope.update(child)
                return route
        return None

    def _admit(self, scope: Scope, exchange: Exchange, path: str) -> None:
        """Raises what the key does not allow; probes need none."""
        keys = self.service.keys
        if keys is not None and not path.startswith(OPEN):
            exchange.key = keys.check(
                exchange.headers, self._scopes.get(path, "" if path == OTHER else "predict")
            )
            keys.spend(exchange.key, 0)

    def _other(self, scope: Scope, route: Route | None) -> ASGIApp:
        """The answer to OPTIONS; otherwise raises 404 or 405."""
        if route is None:
            paths = ", ".join(one.path for one in self.routes)
            raise ServiceError("MW-703", "there is no such route", fix=f"one of: {paths}")
        allow = {"Allow": ", ".join(sorted({*(route.methods or ()), "OPTIONS"}))}
        if scope["method"] == "OPTIONS":
            return Response(status_code=204, headers=allow)
        detail = f"{scope['method'][:16]} is not allowed on {route.path}"
        fix = f"use {allow['Allow']}"
        raise ServiceError("MW-703", detail, fix=fix, status=405, headers=allow)

    def _problem(self, error: ServiceError, exchange: Exchange, path: str) -> Response:
        """An error in the form of the route's protocol."""
        if path in self.protocols:
            return failing(self.protocols[path], error, exchange)
        body = json.dumps(error.as_dict(exchange.request_id), ensure_ascii=False)
        headers = dict(error.headers)
        return Response(body, error.status, headers=headers, media_type=PROBLEM_JSON)

    def _count(self, exchange: Exchange, path: str, status: int, seconds: float) -> None:
        self.service.metrics.answered(exchange.model, exchange.version, path, status, seconds)
        if self.service.settings.access_log:
            log_request(
                seconds,
                request_id=exchange.request_id,
                route=path,
                status=status,
                model=exchange.model,
                version=exchange.version,
                key=exchange.key.id if exchange.key else "",
                trace_id=exchange.trace_id,
            )


def _allowed(route: Route, scope: Scope) -> bool:
    return scope["method"] in (route.methods or ())


def _sane_id(headers: Mapping[str, str]) -> str:
    """The caller's X-Request-Id where it is harmless, or ""."""
    given = headers.get("x-request-id", "")
    return given if _SANE_ID.fullmatch(given) else ""


def _new_ids() -> Iterator[str]:
    """128 random bits each; the system is asked for many at once, since asking it lets go of the
    interpreter's lock, and to get that back may take a millisecond under load."""
    while True:
        some = os.urandom(16 * 256).hex()
        yield from (some[start : start + 32] for start in range(0, len(some), 32))


def _headers(scope: Scope) -> dict[str, str]:
    """By name; the first of repeated ones."""
    return {
        name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"][::-1]
    }
