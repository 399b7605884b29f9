"""OpenAI's embeddings: texts in, vectors out; the features of any encoder that is served.

    POST /v1/embeddings
    {"model": "support-intents", "input": ["my card is lost"], "encoding_format": "float"}

    {"object": "list", "model": "support-intents", "usage": {"prompt_tokens": 6, "total_tokens": 6},
     "data": [{"object": "embedding", "index": 0, "embedding": [0.0123, ...]}]}

A vector is what the model's head reads, of length 1. `encoding_format` is float or base64 (of
little-endian float32). Texts are expected, since token numbers are those of another tokenizer.
Errors are `{"error": {"message", "type", "param", "code"}}`, as OpenAI's clients read them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.engines._schema import kind_of
from modelwright.errors import did_you_mean
from modelwright.serve.problems import ServiceError
from modelwright.serve.protocols import Answer, Message, PredictRequest, Protocol
from modelwright.serve.protocols._multipart import header_parameters
from modelwright.serve.protocols._strict_json import loads

VERSION = 1
_KEYS = ("input", "model", "encoding_format", "dimensions", "user")
_MOST_DIMENSIONS = 65_536
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_DIGITS = 8
"""Decimals of a number; float32 holds no more."""


class Config(BaseModel):
    """Bounds of a request."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    max_items: int = Field(1024, ge=1, description="Most inputs in a request.")
    max_depth: int = Field(16, ge=4, description="Deepest nesting of the JSON.")


@final
class OpenAIEmbeddings(Protocol):
    """`POST /v1/embeddings`."""

    route: ClassVar[str] = "/v1/embeddings"
    error_media_type: ClassVar[str] = "application/json"
    config: Config

    def parse(self, message: Message) -> PredictRequest:
        kind, _ = header_parameters(message.content_type)
        if kind != "application/json":
            seen = f"the content type is {kind[:80]!r}" if kind else "there is no content type"
            raise ServiceError("MW-705", seen, fix="send application/json")
        value = loads(message.body, self.config.max_depth)
        if not isinstance(value, dict):
            raise _wrong("", f"the body is {kind_of(value)}, not an object")
        for name in value:
            if name not in _KEYS:
                raise _wrong(name[:64], "is not a known key", did_you_mean(name[:64], _KEYS))
        model, form = value.get("model"), value.get("encoding_format", "float")
        if model is not None and not isinstance(model, str):
            raise _wrong("model", f"expected a string, got {kind_of(model)}")
        if form not in ("float", "base64"):
            raise _wrong("encoding_format", "is neither float nor base64")
        width = _width(value.get("dimensions"))
        return PredictRequest(
            self._texts(value), model, width, context={"base64": form == "base64"}, vectors=True
        )

    def _texts(self, value: Mapping[str, Any]) -> list[str]:
        if "input" not in value:
            raise _wrong("input", "is required and missing", 'send {"input": ["..."]}')
        given = value["input"]
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts:
            raise _wrong("input", "expected a string or a list of at least one")
        if len(texts) > self.config.max_items:
            detail = f"{len(texts):,} inputs, at most {self.config.max_items:,} are accepted"
            raise ServiceError("MW-704", detail, field="input", fix="send several requests")
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                fix = "send texts; numbers of tokens mean something else to every model"
                raise _wrong(f"input[{place}]", f"expected a string, got {kind_of(text)}", fix)
        return texts

    def render(self, answer: Answer) -> bytes:
        packed = bool((answer.context or {}).get("base64"))
        tokens = sum(int(one["tokens"]) for one in answer.predictions)
        data = [
            {"object": "embedding", "index": place, "embedding": _shown(one["embedding"], packed)}
            for place, one in enumerate(answer.predictions)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return _dump({"object": "list", "data": data, "model": answer.model, "usage": usage})

    def render_error(self, error: ServiceError, request_id: str) -> bytes:
        field = error.field.replace("inputs[", "input[", 1)
        place = f"{field}: " if field else ""
        fix = f"; {error.fix}" if error.fix else ""
        kind = "server_error" if error.status >= 500 else "invalid_request_error"
        told = {
            "message": f"{place}{error.detail}{fix} (request {request_id})",
            "type": _TYPES.get(error.status, kind),
            "param": field or None,
            "code": error.code,
        }
        return _dump({"error": told})

    def document(self) -> Mapping[str, Any]:
        text = {"type": "string", "minLength": 1, "maxLength": 200_000}
        many = {"type": "array", "items": text, "minItems": 1, "maxItems": self.config.max_items}
        name = {"type": "string", "maxLength": 256}
        width = {"type": "integer", "minimum": 1, "maximum": _MOST_DIMENSIONS}
        asked = {
            "type": "object",
            "properties": {
                "input": {"anyOf": [text, many]},
                "model": name,
                "encoding_format": {"type": "string", "enum": ["float", "base64"]},
                "dimensions": width,
                "user": name,
            },
            "required": ["input"],
            "additionalProperties": False,
        }
        item = {
            "operationId": "embeddings",
            "summary": "The vectors of texts, by OpenAI's protocol.",
            "requestBody": {"required": True, "content": {"application/json": {"schema": asked}}},
            "responses": {
                "200": {"description": "The vectors.", "content": {"application/json": {}}},
                "default": {
                    "description": 'An error: `{"error": {"message", "type", "param", "code"}}`.',
                    "content": {"application/json": {}},
                },
            },
        }
        return {self.route: {"post": item}}


def _width(value: Any) -> dict[str, int]:
    if value is None:
        return {}
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not 1 <= value <= _MOST_DIMENSIONS:
        raise _wrong("dimensions", f"expected a whole number from 1 to {_MOST_DIMENSIONS:,}")
    return {"dimensions": value}


def _shown(vector: Any, packed: bool) -> Any:
    if packed:
        return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
    return vector.astype("float64").round(_DIGITS).tolist()


def _wrong(field: str, detail: str, fix: str = "") -> ServiceError:
    return ServiceError("MW-702", detail, field=field, fix=fix)


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
