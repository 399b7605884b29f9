"""The admin application: what is served, changed while it is served; on a port of its own.

    GET    /admin/models                   what is loaded, by name and role
    POST   /admin/models/NAME              {"bundle": "intents-v2", "as": "canary", "share": 0.1}
    POST   /admin/models/NAME/promote      the canary becomes the stable version
    POST   /admin/models/NAME/rollback     takes back the canary, or goes back one version
    DELETE /admin/models/NAME              serves the name no more

Every route needs a key with the scope `admin`. A bundle is named by its folder inside the one of
`mw serve --bundles`; nothing else is opened.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from modelwright.engines._schema import Checker
from modelwright.serve._body import read_body
from modelwright.serve._deploying import Deployer
from modelwright.serve._service import Service
from modelwright.serve.app import Envelope
from modelwright.serve.problems import ServiceError
from modelwright.serve.protocols._multipart import header_parameters
from modelwright.serve.protocols._strict_json import loads

MOST_BYTES = 10_000
_LOAD = Checker(
    {
        "type": "object",
        "properties": {
            "bundle": {"type": "string", "minLength": 1, "maxLength": 500},
            "as": {"type": "string", "enum": ["stable", "canary", "shadow"]},
            "share": {"type": "number", "minimum": 0.0, "maximum": 1.0},
        },
        "required": ["bundle"],
        "additionalProperties": False,
    }
)
_NAMED = "/admin/models/{name}"


def create_admin(service: Service, deployer: Deployer) -> Envelope:
    """The application; it shares the service and its event loop."""

    async def models(_: Request) -> Response:
        return JSONResponse({"models": deployer.listing()})

    async def named(request: Request) -> Response:
        name = request.path_params["name"]
        if request.method == "DELETE":
            await deployer.unload(name)
        else:
            asked = await _asked(request, service)
            await deployer.load(name, asked["bundle"], asked["as"], asked["share"])
        return await models(request)

    def changing(change: Callable[[str], Awaitable[None]]) -> Any:
        async def endpoint(request: Request) -> Response:
            await change(request.path_params["name"])
            return await models(request)

        return endpoint

    routes = [
        Route("/admin/models", models),
        Route(_NAMED, named, methods=["POST", "DELETE"]),
        Route(f"{_NAMED}/promote", changing(deployer.promote), methods=["POST"]),
        Route(f"{_NAMED}/rollback", changing(deployer.roll_back), methods=["POST"]),
    ]
    scopes = dict.fromkeys((route.path for route in routes), "admin")
    return Envelope(Router(routes), routes, service, {}, scopes)


async def _asked(request: Request, service: Service) -> dict[str, Any]:
    kind, _ = header_parameters(request.headers.get("content-type", ""))
    if kind != "application/json":
        raise ServiceError("MW-705", "the content type is not JSON", fix="send application/json")
    with service.coming(MOST_BYTES) as coming:
        body = await read_body(request.scope, request.headers, request.receive, coming)
    asked = loads(body, service.settings.max_depth)
    if (fault := _LOAD.fault(asked, "")) is not None:
        raise ServiceError("MW-702", fault.message, field=fault.field)
    role, share = asked.get("as", "stable"), float(asked.get("share", 0.0))
    if (role == "canary") != (share > 0):
        detail = "a canary needs a share of the requests, and nothing else has one"
        raise ServiceError("MW-702", detail, field="share", fix='"as": "canary", "share": 0.1')
    return {"bundle": asked["bundle"], "as": role, "share": share}
