"""One file per protocol: what callers send to bytes and back, and nothing else.

A protocol holds no model, no socket and no state. It turns a `Message` into a `PredictRequest`, an
`Answer` into bytes and a `ServiceError` into bytes; whether the inputs suit the model is asked of
the bundle afterwards. Any bytes at all must give a `PredictRequest` or a `ServiceError`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel

from modelwright.serve.problems import PROBLEM_JSON, ServiceError


@dataclass(frozen=True, slots=True)
class Message:
    """A request as it arrived.

    Attributes:
        body: the whole body.
        content_type: the header, or "".
        path: parameters of the route ({"name": "support-intents"}).
        headers: by name in lower case.
    """

    body: bytes
    content_type: str
    path: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """A request that was understood.

    Attributes:
        inputs: the examples, not yet checked against the model's schema; at least one.
        model: the model asked for; None takes the service's first.
        parameters: options of the answer, not yet checked.
        uploaded: the inputs are files, in base64, rather than JSON values.
        version: the version asked for; None takes what is served.
        context: what the protocol wants to know again when it renders the answer.
        vectors: the vectors behind the predictions are asked for: the predictions are then
            `{"embedding": [D] of length 1, "tokens": N}`, and the only parameter is `dimensions`.
    """

    inputs: list[Any]
    model: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    uploaded: bool = False
    version: str | None = None
    context: Any = None
    vectors: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said, one prediction for each input, in order.

    Attributes:
        model: its name.
        version: its version.
        predictions: as the contract has them.
        request_id: of the request.
        context: of the request.
    """

    model: str
    version: str
    predictions: Sequence[Mapping[str, Any]]
    request_id: str
    context: Any = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: its body, its type ("" without a body), further headers and the status."""

    body: bytes
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Described:
    """What a protocol may tell of a model that is served.

    Attributes:
        name: its name.
        version: its version.
        engine: the runtime that runs it.
        ready: whether it answers.
        input: JSON Schema of an input.
        output: JSON Schema of a prediction.
    """

    name: str
    version: str
    engine: str
    ready: bool
    input: Mapping[str, Any]
    output: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """How the service stands: whether it is ready and makes progress, and its models by name: the
    stable version of each, then a canary where there is one."""

    ready: bool
    live: bool
    models: Mapping[str, Sequence[Described]]


class Protocol(ABC):
    """The interface of a protocol plug."""

    route: ClassVar[str]
    """Where requests are posted, in Starlette's form (`/v2/models/{name}/infer`)."""
    also: ClassVar[tuple[str, ...]] = ()
    """Further routes for the same requests."""
    tells: ClassVar[tuple[str, ...]] = ()
    """Routes of GET that `tell` answers."""
    media_type: ClassVar[str] = "application/json"
    error_media_type: ClassVar[str] = PROBLEM_JSON

    def __init__(self, config: BaseModel) -> None:
        self.config = config

    @abstractmethod
    def parse(self, message: Message) -> PredictRequest:
        """Understand a request.

        Raises:
            ServiceError: and nothing else, whatever the bytes are.
        """

    @abstractmethod
    def render(self, answer: Answer) -> bytes:
        """The response's body."""

    def reply(self, answer: Answer) -> Reply:
        """The response, where it is more than its body."""
        return Reply(self.render(answer), self.media_type)

    def tell(self, route: str, path: Mapping[str, str], standing: Standing) -> Reply:
        """Answer one of `tells`.

        Raises:
            ServiceError: what it cannot tell.
        """
        raise ServiceError("MW-703", f"nothing is known of {route}")

    def document(self) -> Mapping[str, Any]:
        """Its routes as OpenAPI 3.1 path items, where they are not typed by the bundles."""
        return {}

    @abstractmethod
    def render_error(self, error: ServiceError, request_id: str) -> bytes:
        """The body of an error response."""


INTERFACE = Protocol
