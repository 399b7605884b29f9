"""The routes that only tell something: models, schema, page, probes, metrics."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from modelwright.serve._body import packed
from modelwright.serve._openapi import openapi
from modelwright.serve._service import Service
from modelwright.serve.page import CSP, render
from modelwright.serve.problems import ServiceError

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class _Rendered:
    """What is written of the models until they change."""

    document: bytes
    html: bytes


def reading(service: Service, documents: Sequence[Mapping[str, Any]]) -> list[Route]:
    """The routes that only tell something; rendered once for each change of what is served."""
    rendered: dict[int, _Rendered] = {}

    def now() -> _Rendered:
        if service.generation not in rendered:
            rendered.clear()
            rendered[service.generation] = _render(service, documents)
        return rendered[service.generation]

    if service.models:
        now()

    async def page(request: Request) -> Response:
        headers = {"Content-Security-Policy": CSP, "Referrer-Policy": "no-referrer"}
        return _packed(request, now().html, "text/html", headers)

    async def list_models(_: Request) -> Response:
        models = map(_listed, service.models.values())
        return JSONResponse({"object": "list", "data": list(models)})

    async def describe(request: Request) -> Response:
        return _packed(request, now().document, "application/json", {})

    async def live(_: Request) -> Response:
        if service.live:
            return JSONResponse({"status": "live"})
        return JSONResponse({"status": "a model call does not end"}, 503)

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


def _render(service: Service, documents: Sequence[Mapping[str, Any]]) -> _Rendered:
    models = list(service.models.values())
    if not models:
        raise ServiceError("MW-706", "no model is served", fix="load one")
    keyed = service.keys is not None
    described = openapi(models, keyed=keyed)
    for items in documents:
        described["paths"].update(items)
    document = json.dumps(described, ensure_ascii=False).encode()
    return _Rendered(document, render(models, keyed=keyed).encode())


def _packed(request: Request, body: bytes, kind: str, headers: dict[str, str]) -> Response:
    body, more = packed(body, request.headers)
    return Response(body, media_type=kind, headers={**headers, **more})


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
        "dimensions": model.bundle.dimensions,
        "limits": manifest.get("limits", {}),
        "quality": manifest.get("quality", {}),
    }


def _epoch(text: str) -> int:
    from calendar import timegm

    try:
        return timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        return 0
