"""Open Inference Protocol v2 over REST, with its binary tensor data extension.

    POST /v2/models/support-intents/infer
    {"id": "7", "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES",
                            "data": ["my card is lost"]}]}

    {"model_name": "support-intents", "model_version": "3f2a...", "id": "7",
     "outputs": [{"name": "label", "shape": [1], "datatype": "BYTES", "data": ["card_lost"]},
                 {"name": "score", "shape": [1], "datatype": "FP64", "data": [0.98]}]}

One tensor holds the inputs, or one for each field of an input (`text` and `text_pair`), all of one
length. Images are base64 in BYTES. Outputs are the fields of a prediction; structures, such as
entities, are JSON in BYTES (`content_type` json), and `scores`, where asked for in `outputs` or
`parameters`, is [N, labels]. Errors are `{"error": "..."}`, as the protocol says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright import __version__
from modelwright.engines._schema import kind_of
from modelwright.serve.problems import ServiceError
from modelwright.serve.protocols import (
    Answer,
    Described,
    Message,
    PredictRequest,
    Protocol,
    Reply,
    Standing,
)
from modelwright.serve.protocols._multipart import header_parameters
from modelwright.serve.protocols._strict_json import loads
from modelwright.serve.protocols._tensors import (
    described,
    read_tensor,
    to_binary,
    write_tensor,
    wrong,
)

VERSION = 1
_HEAD = "inference-header-content-length"
_MODEL = "/v2/models/{name}"
_MODEL_VERSION = "/v2/models/{name}/versions/{version}"
_PLATFORMS = {
    "onnxruntime": "onnxruntime_onnx",
    "openvino": "openvino_ir",
    "torch": "pytorch_safetensors",
}
_OWN_PARAMETERS = ("binary_data_output",)
_NAME = {"type": "string", "minLength": 1, "maxLength": 256}


class Config(BaseModel):
    """Bounds of a request."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    max_items: int = Field(1024, ge=1, description="Most inputs in a request.")
    max_depth: int = Field(16, ge=4, description="Deepest nesting of the JSON.")


@final
class OpenInference(Protocol):
    """`/v2/...`."""

    route: ClassVar[str] = f"{_MODEL}/infer"
    also: ClassVar[tuple[str, ...]] = (f"{_MODEL_VERSION}/infer",)
    tells: ClassVar[tuple[str, ...]] = (
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        _MODEL,
        _MODEL_VERSION,
        f"{_MODEL}/ready",
        f"{_MODEL_VERSION}/ready",
    )
    error_media_type: ClassVar[str] = "application/json"
    config: Config

    # -- in ---------------------------------------------------------------------------------------
    def parse(self, message: Message) -> PredictRequest:
        kind, _ = header_parameters(message.content_type)
        if kind not in ("application/json", "application/octet-stream", ""):
            seen = f"the content type is {kind[:80]!r}"
            raise ServiceError("MW-705", seen, fix="send application/json")
        value, binary = self._split(message)
        if not isinstance(value, dict):
            raise wrong("", f"the body is {kind_of(value)}, not an object")
        inputs = self._inputs(value, binary)
        parameters = _object(value.get("parameters", {}), "parameters")
        wanted = _outputs(value.get("outputs"))
        options = {key: one for key, one in parameters.items() if key not in _OWN_PARAMETERS}
        if "scores" in wanted:
            options.setdefault("scores", True)
        context = {
            "id": _identity(value.get("id")),
            "outputs": wanted,
            "binary": parameters.get("binary_data_output") is True,
        }
        path = message.path
        return PredictRequest(
            inputs, path.get("name"), options, version=path.get("version"), context=context
        )

    def _split(self, message: Message) -> tuple[Any, bytes]:
        """The JSON, and the binary data behind it."""
        given = message.headers.get(_HEAD)
        if given is None:
            return loads(message.body, self.config.max_depth), b""
        size = int(given) if given.isascii() and given.isdigit() and len(given) < 12 else -1
        if not 0 < size <= len(message.body):
            raise wrong("Inference-Header-Content-Length", "is not a length within the body")
        return loads(message.body[:size], self.config.max_depth), message.body[size:]

    def _inputs(self, value: dict[str, Any], binary: bytes) -> list[Any]:
        tensors = value.get("inputs")
        if not isinstance(tensors, list) or not tensors:
            raise wrong("inputs", "is required, a list of at least one tensor")
        if len(tensors) > self.config.max_items:
            raise self._too_many(len(tensors))
        columns: dict[str, list[Any]] = {}
        for index, tensor in enumerate(tensors):
            part, binary = _binary(tensor, binary, f"inputs[{index}]")
            name, values = read_tensor(tensor, f"inputs[{index}]", part)
            if name in columns:
                raise wrong(f"inputs[{index}].name", f"{name[:64]!r} is given twice")
            columns[name] = values
        if binary:
            raise wrong("inputs", f"{len(binary):,} bytes of binary data belong to no tensor")
        lengths = {len(values) for values in columns.values()}
        if len(lengths) > 1:
            raise wrong("inputs", f"tensors of unlike length: {sorted(lengths)[:4]}")
        if lengths == {0}:
            raise wrong("inputs", "there is no input", "send at least one")
        if max(lengths) > self.config.max_items:
            raise self._too_many(max(lengths))
        if len(columns) == 1:
            return next(iter(columns.values()))
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _too_many(self, count: int) -> ServiceError:
        detail = f"{count:,} inputs, at most {self.config.max_items:,} are accepted"
        return ServiceError("MW-704", detail, field="inputs", fix="send several requests")

    # -- out --------------------------------------------------------------------------------------
    def render(self, answer: Answer) -> bytes:
        return self.reply(answer).body

    def reply(self, answer: Answer) -> Reply:
        context = answer.context or {}
        asked: Mapping[str, bool | None] = context.get("outputs") or {}
        names = [name for one in answer.predictions[:1] for name in one]
        body: dict[str, Any] = {"model_name": answer.model, "model_version": answer.version}
        if context.get("id") is not None:
            body["id"] = context["id"]
        body["outputs"] = outputs = []
        binary: list[bytes] = []
        for name in asked or names:
            if name not in names:
                known = ", ".join(names)
                raise wrong("outputs", f"there is no output {name[:64]!r}; there are: {known}")
            tensor = write_tensor(name, [one[name] for one in answer.predictions])
            chosen = asked.get(name)
            if context.get("binary") if chosen is None else chosen:
                binary.append(to_binary(tensor))
            outputs.append(tensor)
        text = _dump(body)
        if not binary:
            return Reply(text)
        headers = {"Inference-Header-Content-Length": str(len(text))}
        return Reply(text + b"".join(binary), "application/octet-stream", headers)

    def render_error(self, error: ServiceError, request_id: str) -> bytes:
        told = error.as_dict(request_id)
        fix = f"; {told['fix']}" if "fix" in told else ""
        return _dump({"error": f"{error.code} {told['detail']}{fix} (request {request_id})"})

    # -- telling ----------------------------------------------------------------------------------
    def tell(self, route: str, path: Mapping[str, str], standing: Standing) -> Reply:
        if route == "/v2":
            extensions = ["binary_tensor_data"]
            body = {"name": "modelwright", "version": __version__, "extensions": extensions}
            return Reply(_dump(body))
        if route == "/v2/health/live":
            return _told("live", standing.live)
        if route == "/v2/health/ready":
            return _told("ready", standing.ready)
        versions = standing.models.get(path["name"], ())
        wanted = path.get("version")
        model = next((one for one in versions if wanted in (None, one.version)), None)
        if model is None:
            raise ServiceError("MW-703", f"there is no model {path['name'][:64]!r} of that version")
        if route.endswith("/ready"):
            return _told("ready", model.ready, name=model.name)
        return Reply(_dump({**_metadata(model), "versions": [one.version for one in versions]}))

    def document(self) -> Mapping[str, Any]:
        asked = _schema(self.config.max_items)
        item = {
            "operationId": "infer",
            "summary": "Ask a model by the Open Inference Protocol v2.",
            "parameters": [{"name": "name", "in": "path", "required": True, "schema": _NAME}],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": asked}},
            },
            "responses": {
                "200": {"description": "The outputs.", "content": {"application/json": {}}},
                "default": {
                    "description": 'An error: `{"error": "..."}`.',
                    "content": {"application/json": {}},
                },
            },
        }
        return {self.route: {"post": item}}


def _schema(most: int) -> dict[str, Any]:
    """JSON Schema of a request without binary data."""
    options = {"type": "object"}
    size = {"type": "integer", "minimum": 0, "maximum": most}
    tensor = {
        "type": "object",
        "properties": {
            "name": _NAME,
            "shape": {"type": "array", "items": size, "minItems": 1, "maxItems": 2},
            "datatype": {"const": "BYTES"},
            "data": {"type": "array", "maxItems": most},
            "parameters": options,
        },
        "required": ["name", "shape", "datatype"],
    }
    output = {"type": "object", "properties": {"name": _NAME, "parameters": options}}
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string", "maxLength": 256},
            "parameters": options,
            "inputs": {"type": "array", "items": tensor, "minItems": 1, "maxItems": most},
            "outputs": {"type": "array", "items": {**output, "required": ["name"]}, "maxItems": 64},
        },
        "required": ["inputs"],
    }


def _binary(tensor: Any, binary: bytes, place: str) -> tuple[bytes | None, bytes]:
    """What of the binary data is this tensor's (None: its data is in the JSON), and the rest."""
    parameters = tensor.get("parameters", {}) if isinstance(tensor, dict) else {}
    size = _object(parameters, f"{place}.parameters").get("binary_data_size")
    if size is None:
        return None, binary
    whole = isinstance(size, int) and not isinstance(size, bool)
    if not whole or not 0 <= size <= len(binary):
        raise wrong(f"{place}.parameters.binary_data_size", "is no size within the binary data")
    return binary[:size], binary[size:]


def _outputs(value: Any) -> dict[str, bool | None]:
    """The outputs asked for, each with whether it is wanted in binary (None: not said)."""
    if value is None:
        return {}
    if not isinstance(value, list) or len(value) > 64:
        raise wrong("outputs", "expected a short list")
    found: dict[str, bool | None] = {}
    for index, one in enumerate(value):
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise wrong(f"outputs[{index}].name", "is required, a string")
        parameters = _object(one.get("parameters", {}), f"outputs[{index}].parameters")
        binary = parameters.get("binary_data")
        found[one["name"]] = binary if isinstance(binary, bool) else None
    return found


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong(place, f"expected an object, got {kind_of(value)}")
    return value


def _identity(value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or len(value) > 256):
        raise wrong("id", "expected a string of at most 256 characters")
    return value


def _metadata(model: Described) -> dict[str, Any]:
    schema = model.input
    fields = schema.get("properties") or {}
    for branch in schema.get("anyOf", ()):
        fields = fields or branch.get("properties") or {}
    required = [name for name in fields if name in ("text", "text_pair", "image")]
    outputs = model.output.get("properties", {})
    return {
        "name": model.name,
        "platform": _PLATFORMS.get(model.engine, f"modelwright_{model.engine or 'bundle'}"),
        "inputs": [described(name, {}) for name in required or list(fields) or ["input"]],
        "outputs": [described(name, one) for name, one in outputs.items()],
    }


def _told(what: str, true: bool, **more: str) -> Reply:
    """200 or 400, as the protocol has it; KServe's client reads the body, others the status."""
    return Reply(_dump({**more, what: true}), status=200 if true else 400)


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
