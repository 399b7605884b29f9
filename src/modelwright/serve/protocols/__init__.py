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
    """

    body: bytes
    content_type: str
    path: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """A request that was understood.

    Attributes:
        inputs: the examples, not yet checked against the model's schema; at least one.
        model: the model asked for; None takes the service's first.
        parameters: options of the answer, not yet checked.
        uploaded: the inputs are files, in base64, rather than JSON values.
    """

    inputs: list[Any]
    model: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    uploaded: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said, one prediction for each input, in order."""

    model: str
    version: str
    predictions: Sequence[Mapping[str, Any]]
    request_id: str


class Protocol(ABC):
    """The interface of a protocol plug."""

    route: ClassVar[str]
    """Where requests are posted, in Starlette's form (`/v2/models/{name}/infer`)."""
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

    @abstractmethod
    def render_error(self, error: ServiceError, request_id: str) -> bytes:
        """The body of an error response."""


INTERFACE = Protocol
