"""`POST /v1/feedback`: the true answer to an input that was asked, for live quality.

{"request_id": "0af7...", "index": 0, "label": "refund"}     ->  202 {"known": true}
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from modelwright.engines._schema import Checker
from modelwright.serve._body import read_body
from modelwright.serve._reading import Handler
from modelwright.serve._service import Service
from modelwright.serve.problems import ServiceError
from modelwright.serve.protocols._multipart import header_parameters
from modelwright.serve.protocols._strict_json import loads

ROUTE = "/v1/feedback"
MOST_BYTES = 100_000
_LABEL = {"type": "string", "minLength": 1, "maxLength": 1000}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "request_id": {"type": "string", "minLength": 1, "maxLength": 128},
        "index": {"type": "integer", "minimum": 0, "maximum": 1_000_000},
        "label": {
            "anyOf": [
                _LABEL,
                {"type": "number", "minimum": -1e300, "maximum": 1e300},
                {"type": "array", "items": _LABEL, "maxItems": 1000},
            ]
        },
    },
    "required": ["request_id", "label"],
    "additionalProperties": False,
}
_CHECK = Checker(SCHEMA)


def feedback(service: Service) -> Handler:
    """The handler."""

    async def endpoint(request: Request) -> Response:
        kind, _ = header_parameters(request.headers.get("content-type", ""))
        if kind != "application/json":
            raise ServiceError(
                "MW-705", "the content type is not JSON", fix="send application/json"
            )
        with service.coming(MOST_BYTES) as coming:
            body = await read_body(request.scope, request.headers, request.receive, coming)
        told = loads(body, service.settings.max_depth)
        if (fault := _CHECK.fault(told, "")) is not None:
            raise ServiceError("MW-702", fault.message, field=fault.field)
        known = service.recorder.corrected(
            told["request_id"], int(told.get("index", 0)), told["label"]
        )
        return JSONResponse({"known": known}, 202)

    return endpoint


def document() -> dict[str, Any]:
    """The route as an OpenAPI path item."""
    answer = {"type": "object", "properties": {"known": {"type": "boolean"}}}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    item = {
        "operationId": "feedback",
        "summary": "Tell the true answer to an input that was asked.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": SCHEMA}}},
        "responses": {
            "202": {
                "description": "Taken; `known` tells whether the prediction is still remembered.",
                "content": {"application/json": {"schema": answer}},
            },
            "default": {"description": "Refused.", "content": problem},
        },
    }
    return {ROUTE: {"post": item}}
