"""Modelwright's own JSON: a list of inputs in, a list of predictions out.

    POST /v1/predict
    {"inputs": ["my card is lost"], "model": "support-intents", "parameters": {"scores": true}}

    {"model": "support-intents", "version": "3f2a...", "request_id": "...",
     "predictions": [{"label": "card_lost", "score": 0.98, "scores": {...}}]}

`model` may be left out where the service has one, or to mean its first. Images travel as base64
strings in `inputs`, or as files of multipart/form-data (each file one input; `model` and
`parameters`, the latter as JSON, as plain fields). Errors are application/problem+json.
"""

from __future__ import annotations

import base64
import json
from typing import Any, ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.engines._schema import kind_of
from modelwright.errors import did_you_mean
from modelwright.serve.problems import ServiceError
from modelwright.serve.protocols import Answer, Message, PredictRequest, Protocol
from modelwright.serve.protocols._multipart import header_parameters, parse
from modelwright.serve.protocols._strict_json import loads

VERSION = 1
_KEYS = ("inputs", "model", "parameters")
_ACCEPTED = "application/json, or multipart/form-data for images"


class Config(BaseModel):
    """Bounds of a request."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    max_items: int = Field(1024, ge=1, description="Most inputs in a request.")
    max_depth: int = Field(16, ge=4, description="Deepest nesting of the JSON.")


@final
class NativeProtocol(Protocol):
    """`POST /v1/predict`."""

    route: ClassVar[str] = "/v1/predict"
    config: Config

    def parse(self, message: Message) -> PredictRequest:
        kind, parameters = header_parameters(message.content_type)
        if kind == "application/json":
            if parameters.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
                raise ServiceError("MW-705", "the charset is not UTF-8", fix="send UTF-8")
            return self._from_json(message.body)
        if kind == "multipart/form-data":
            return self._from_form(message.body, parameters.get("boundary", ""))
        seen = f"the content type is {kind[:80]!r}" if kind else "there is no content type"
        raise ServiceError("MW-705", seen, fix=f"send {_ACCEPTED}")

    def render(self, answer: Answer) -> bytes:
        body = {
            "model": answer.model,
            "version": answer.version,
            "predictions": list(answer.predictions),
            "request_id": answer.request_id,
        }
        return _dump(body)

    def render_error(self, error: ServiceError, request_id: str) -> bytes:
        return _dump(error.as_dict(request_id))

    def _from_json(self, body: bytes) -> PredictRequest:
        value = loads(body, self.config.max_depth)
        if not isinstance(value, dict):
            raise _wrong(
                "", f"the body is {kind_of(value)}, not an object", 'send {"inputs": [...]}'
            )
        for name in value:
            if name not in _KEYS:
                raise _wrong(name[:64], "is not a known key", did_you_mean(name[:64], _KEYS))
        if "inputs" not in value:
            raise _wrong("inputs", "is required and missing", 'send {"inputs": ["..."]}')
        if not isinstance(value["inputs"], list):
            fix = "put a single input into a list: [input]"
            raise _wrong("inputs", f"expected a list, got {kind_of(value['inputs'])}", fix)
        return self._request(value["inputs"], value.get("model"), value.get("parameters", {}))

    def _from_form(self, body: bytes, boundary: str) -> PredictRequest:
        inputs: list[str] = []
        fields: dict[str, Any] = {}
        for part in parse(body, boundary, self.config.max_items + len(_KEYS)):
            if part.filename:
                inputs.append(base64.b64encode(part.data).decode("ascii"))
            elif part.name == "model":
                fields["model"] = part.data.decode("utf-8", "replace")
            elif part.name == "parameters":
                fields["parameters"] = loads(part.data, self.config.max_depth)
            else:
                fix = "send images as files (with a file name); other fields: model, parameters"
                raise _wrong(part.name[:64], "is not a known field", fix)
        return self._request(inputs, fields.get("model"), fields.get("parameters", {}), True)

    def _request(
        self, inputs: list[Any], model: Any, parameters: Any, uploaded: bool = False
    ) -> PredictRequest:
        if not inputs:
            raise _wrong("inputs", "there is no input", "send at least one")
        if len(inputs) > self.config.max_items:
            detail = f"{len(inputs):,} inputs, at most {self.config.max_items:,} are accepted"
            raise ServiceError("MW-704", detail, field="inputs", fix="send several requests")
        if model is not None and not isinstance(model, str):
            raise _wrong("model", f"expected a string, got {kind_of(model)}", "")
        if not isinstance(parameters, dict):
            raise _wrong("parameters", f"expected an object, got {kind_of(parameters)}", "")
        return PredictRequest(inputs, model, parameters, uploaded)


def _wrong(field: str, detail: str, fix: str) -> ServiceError:
    return ServiceError("MW-702", detail, field=field, fix=fix)


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _dump(value: Any) -> bytes:
    return _ENCODER.encode(value).encode()
