"""OpenAPI 3.1 of a service, typed by its bundles: their schemas, limits and real examples."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from modelwright.serve.problems import PROBLEM_JSON, STATUS

if TYPE_CHECKING:
    from modelwright.serve._model import ServedModel

Schema = dict[str, Any]


_DEADLINE: Schema = {
    "name": "X-Deadline-Ms",
    "in": "header",
    "required": False,
    "description": "Milliseconds after which the answer is worth nothing to the caller.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
}


_SECURITY: Schema = {
    "securitySchemes": {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
}


def openapi(models: Sequence[ServedModel], *, keyed: bool = False) -> Schema:
    """The document at /openapi.json; the first model is the one that needs no name."""
    first = models[0]
    schemas: Schema = {"Problem": _problem()}
    for model in models:
        key = component(model.name)
        schemas[f"{key}.Input"] = _example(model.manifest["input"], model, "input")
        schemas[f"{key}.Prediction"] = _example(_answered(model), model, "output")
        schemas[f"{key}.Request"] = _request(model, needs_name=model is not first)
        schemas[f"{key}.Response"] = _response(model)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": " and ".join(model.name for model in models),
            "version": first.version,
            "summary": f"{first.manifest['task']}, served by Modelwright",
        },
        "paths": {"/v1/predict": {"post": _predict(models)}, **_readings()},
        "components": {"schemas": schemas, **(_SECURITY if keyed else {})},
        **({"security": [{"bearer": []}, {"header": []}]} if keyed else {}),
    }


def component(name: str) -> str:
    """A model's name as OpenAPI lets components be called."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _example(schema: Schema, model: ServedModel, side: str) -> Schema:
    examples = [example[side] for example in model.examples]
    return {**schema, "examples": examples} if examples else dict(schema)


def _answered(model: ServedModel) -> Schema:
    """The output schema, saying when scores are there."""
    output = dict(model.manifest["output"])
    if "scores" in output.get("properties", {}):
        said = "Only when asked for by `parameters.scores` or `parameters.top_k`."
        scores = {**output["properties"]["scores"], "description": said}
        output["properties"] = {**output["properties"], "scores": scores}
    return output


def _request(model: ServedModel, *, needs_name: bool) -> Schema:
    key = component(model.name)
    inputs = {"type": "array", "minItems": 1, "items": _ref(f"{key}.Input")}
    return {
        "type": "object",
        "properties": {
            "inputs": {**inputs, "maxItems": model.max_items},
            "model": {"const": model.name},
            "parameters": model.parameters_schema,
        },
        "required": ["inputs", "model"] if needs_name else ["inputs"],
        "additionalProperties": False,
    }


def _response(model: ServedModel) -> Schema:
    key = component(model.name)
    return {
        "type": "object",
        "properties": {
            "model": {"const": model.name},
            "version": {"type": "string"},
            "predictions": {"type": "array", "items": _ref(f"{key}.Prediction")},
            "request_id": {"type": "string"},
        },
        "required": ["model", "version", "predictions", "request_id"],
    }


def _predict(models: Sequence[ServedModel]) -> Schema:
    keys = [component(model.name) for model in models]
    requests = [_ref(f"{key}.Request") for key in keys]
    responses = [_ref(f"{key}.Response") for key in keys]
    content: Schema = {
        "application/json": {
            "schema": requests[0] if len(requests) == 1 else {"anyOf": requests},
            **_request_examples(models),
        }
    }
    if any(model.accepts_files for model in models):
        content["multipart/form-data"] = {"schema": _form()}
    answer = {
        "description": "One prediction for each input, in order.",
        "content": {
            "application/json": {
                "schema": responses[0] if len(responses) == 1 else {"anyOf": responses},
                **_response_examples(models),
            }
        },
        "headers": {"X-Request-Id": {"schema": {"type": "string"}}},
    }
    request_id = {
        "name": "X-Request-Id",
        "in": "header",
        "required": False,
        "description": "Kept and sent back; made up where it is missing.",
        "schema": {"type": "string", "maxLength": 128},
    }
    return {
        "operationId": "predict",
        "summary": "Ask a model.",
        "parameters": [request_id, _DEADLINE],
        "requestBody": {"required": True, "content": content},
        "responses": {"200": answer, **_errors()},
    }


def _request_examples(models: Sequence[ServedModel]) -> Schema:
    found = {
        component(model.name): {
            "value": {"inputs": [one["input"] for one in model.examples[:2]], "model": model.name}
        }
        for model in models
        if model.examples
    }
    return {"examples": found} if found else {}


def _response_examples(models: Sequence[ServedModel]) -> Schema:
    found: Schema = {}
    for model in models:
        if not model.examples:
            continue
        outputs = [
            {key: value for key, value in one["output"].items() if key != "scores"}
            for one in model.examples[:2]
        ]
        found[component(model.name)] = {
            "value": {
                "model": model.name,
                "version": model.version,
                "predictions": outputs,
                "request_id": "0af7651916cd43dd8448eb211c80319c",
            }
        }
    return {"examples": found} if found else {}


def _form() -> Schema:
    file: Schema = {"type": "array", "items": {"contentMediaType": "application/octet-stream"}}
    return {
        "type": "object",
        "properties": {"file": file, "model": {"type": "string"}, "parameters": {"type": "string"}},
        "required": ["file"],
    }


def _errors() -> Schema:
    content = {PROBLEM_JSON: {"schema": _ref("Problem")}}
    return {
        str(status): {"description": f"{title} ({code}).", "content": content}
        for code, (status, title) in STATUS.items()
    }


def _problem() -> Schema:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "RFC 9457 problem details.",
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "code": {"type": "string", "enum": list(STATUS)},
            "detail": text,
            "field": {**text, "description": "The wrong member, like `inputs[3].text`."},
            "fix": text,
            "request_id": text,
        },
        "required": ["type", "title", "status", "code", "detail", "request_id"],
    }


def _readings() -> Schema:
    def get(name: str, summary: str, media: str, *, unready: bool = False) -> Schema:
        answers: Schema = {"200": {"description": summary, "content": {media: {}}}}
        if unready:
            answers["503"] = {"description": "Not ready.", "content": {media: {}}}
        operation: Schema = {"operationId": name, "summary": summary, "responses": answers}
        if name in ("live", "ready"):
            operation["security"] = []  # probes need no key
        return {"get": operation}

    return {
        "/v1/models": get("models", "The models served.", "application/json"),
        "/health/live": get("live", "The process answers.", "application/json"),
        "/health/ready": get("ready", "Self-tests passed.", "application/json", unready=True),
        "/metrics": get("metrics", "Prometheus text.", "text/plain"),
        "/openapi.json": get("openapi", "This document.", "application/json"),
        "/": get("page", "A page to try the model.", "text/html"),
    }
