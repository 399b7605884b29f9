"""A client of the service: typed, patient within a deadline, and good at long lists.

    with modelwright.Client("http://127.0.0.1:8000", key="mw_...") as client:
        client.predict(["my card is lost"])                     # [{"label": ..., "score": ...}]
        answers = client.predict(texts, top_k=3, deadline=5.0)  # a million are fine
        client.feedback(*answers.asked[0], "lost_card")         # what the first one truly was

`AsyncClient` is the same with `await`. A long list is sent as several requests, a few at a time,
and answered in order. What a service refuses for now (429, 503, no connection) is tried again after
the time that it says; anything else, and whatever the deadline leaves no time for, is raised as
`ServiceError` with the service's code, field and request id.
"""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, final

from modelwright.runtime.libraries import require
from modelwright.serve._calling import (
    Answers,
    Attempts,
    Part,
    Policy,
    divided,
    known,
    models,
    predictions,
    refusal,
    unreachable,
)
from modelwright.serve.problems import ServiceError

if TYPE_CHECKING:
    import httpx

GRACE_S = 0.5
"""What a connection may take beyond the deadline, so that the service's own answer arrives."""
LONGEST_S = 90.0
"""How long an answer may take where no deadline is given."""


class _Asking(ABC):
    """A service and how it is asked.

    Args:
        url: of the service.
        key: an API key, where it asks for one.
        model: the model that is meant; None for the service's first.
        deadline: seconds in which every call is answered; None leaves it to the service.
        policy: retries, sizes and parallel requests.
        transport: an httpx transport, for tests, proxies and unix sockets.

    Raises:
        ValueError: the URL does not begin with http:// or https://.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        model: str | None = None,
        deadline: float | None = None,
        policy: Policy | None = None,
        transport: Any = None,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is no URL of a service; one begins with http:// or https://")
        self.url, self.model, self.deadline = url.rstrip("/"), model, deadline
        self.policy = policy or Policy()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._open(base_url=self.url, headers=headers, transport=transport)

    @abstractmethod
    def _open(self, **given: Any) -> None:
        """Make the connections."""

    def _options(self, model: str | None, scores: bool, top_k: int | None) -> dict[str, Any]:
        parameters: dict[str, Any] = {"scores": True} if scores else {}
        if top_k is not None:
            parameters["top_k"] = top_k
        named = model or self.model
        options: dict[str, Any] = {"model": named} if named else {}
        return {**options, "parameters": parameters} if parameters else options

    def _until(self, deadline: float | None) -> float | None:
        seconds = self.deadline if deadline is None else deadline
        return None if seconds is None else time.monotonic() + seconds

    def _request(self, attempts: Attempts, body: bytes) -> dict[str, Any]:
        left = attempts.left()
        headers = {"Content-Type": "application/json", **attempts.headers()}
        return {
            "content": body,
            "headers": headers,
            "timeout": LONGEST_S if left is None else left + GRACE_S,
        }

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """What is sent once: nobody there is the service's own kind of error."""
        try:
            yield
        except require("httpx", "client").TransportError as error:
            raise unreachable(self.url, error) from error

    def _failed(self, error: httpx.TransportError, attempts: Attempts) -> ServiceError:
        if isinstance(error, require("httpx", "client").TimeoutException):
            attempts.left()  # raises when it is the deadline that passed
            detail, fix = f"no answer within {LONGEST_S:g} s", "ask for less at a time"
            return ServiceError("MW-707", detail, fix=fix)
        return unreachable(self.url, error)


@final
class Client(_Asking):
    """A service, asked synchronously; safe to be shared between threads."""

    def _open(self, **given: Any) -> None:
        self._http: httpx.Client = require("httpx", "client").Client(**given)

    def predict(
        self,
        inputs: Sequence[Any],
        *,
        model: str | None = None,
        scores: bool = False,
        top_k: int | None = None,
        deadline: float | None = None,
    ) -> Answers:
        """The predictions of a list of inputs, in order; each a dict.

        Args:
            inputs: texts, base64 images or objects, as the model reads them; any number.
            model: another model than the client's.
            scores: with the score of every label.
            top_k: with the scores of the best labels.
            deadline: seconds for the whole list.

        Raises:
            ServiceError: the first refusal.
        """
        parts, until = divided(_checked(inputs), self.policy), self._until(deadline)
        options = self._options(model, scores, top_k)
        given_up = threading.Event()
        if len(parts) < 2:
            return Answers.joined(self._ask(part, options, until, given_up) for part in parts)
        with ThreadPoolExecutor(min(self.policy.at_once, len(parts))) as pool:
            asked = [pool.submit(self._ask, part, options, until, given_up) for part in parts]
            try:
                for answer in as_completed(asked):
                    answer.result()
                return Answers.joined(answer.result() for answer in asked)
            finally:
                given_up.set()
                for answer in asked:
                    answer.cancel()

    def _ask(
        self, part: Part, options: dict[str, Any], until: float | None, given_up: threading.Event
    ) -> Answers:
        attempts, body = Attempts(part, self.policy, until), part.body(options)
        transport_error = require("httpx", "client").TransportError
        while not given_up.is_set():
            try:
                response = self._http.post("/v1/predict", **self._request(attempts, body))
            except transport_error as error:
                _sleep(attempts.pause(self._failed(error, attempts)), given_up)
                continue
            if response.status_code == 200:
                return predictions(response.content, len(part.texts))
            refused = refusal(response.status_code, response.headers, response.content)
            if refused.status == 413 and len(part.texts) > 1:
                halves = part.halves()
                return Answers.joined(self._ask(half, options, until, given_up) for half in halves)
            _sleep(attempts.pause(refused), given_up)
        raise CancelledError

    def feedback(self, request_id: str, index: int, label: Any) -> bool:
        """Tell the service what an input truly was; whether it still remembers its answer.

        Args:
            request_id: of the request; with `index` it is an item of `Answers.asked`.
            index: place of the input in the request.
            label: as the model's training rows have it: a label, a number, labels.

        Raises:
            ServiceError: it was refused, or nobody answers; it is sent once.
        """
        told = {"request_id": request_id, "index": index, "label": label}
        with self._reaching():
            response = self._http.post("/v1/feedback", json=told)
        return known(response.status_code, response.headers, response.content)

    def models(self) -> list[dict[str, Any]]:
        """What is served, with versions, labels, limits and quality.

        Raises:
            ServiceError: it was refused, or nobody answers.
        """
        with self._reaching():
            response = self._http.get("/v1/models")
        return models(response.status_code, response.headers, response.content)

    def ready(self) -> bool:
        """Whether the service answers now; never raises."""
        try:
            return self._http.get("/health/ready", timeout=5.0).status_code == 200
        except require("httpx", "client").TransportError:
            return False

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@final
class AsyncClient(_Asking):
    """A service, asked with `await`, from one event loop."""

    def _open(self, **given: Any) -> None:
        self._http: httpx.AsyncClient = require("httpx", "client").AsyncClient(**given)

    async def predict(
        self,
        inputs: Sequence[Any],
        *,
        model: str | None = None,
        scores: bool = False,
        top_k: int | None = None,
        deadline: float | None = None,
    ) -> Answers:
        """As `Client.predict`; when it is cancelled nothing of it goes on."""
        parts, until = divided(_checked(inputs), self.policy), self._until(deadline)
        options, gate = self._options(model, scores, top_k), asyncio.Semaphore(self.policy.at_once)

        async def ask(part: Part) -> Answers:
            async with gate:
                return await self._ask(part, options, until)

        tasks = [asyncio.ensure_future(ask(part)) for part in parts]
        try:
            answers = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return Answers.joined(answers)

    async def _ask(self, part: Part, options: dict[str, Any], until: float | None) -> Answers:
        attempts, body = Attempts(part, self.policy, until), part.body(options)
        transport_error = require("httpx", "client").TransportError
        while True:
            try:
                response = await self._http.post("/v1/predict", **self._request(attempts, body))
            except transport_error as error:
                await _rest(attempts.pause(self._failed(error, attempts)))
                continue
            if response.status_code == 200:
                return predictions(response.content, len(part.texts))
            refused = refusal(response.status_code, response.headers, response.content)
            if refused.status == 413 and len(part.texts) > 1:
                first, second = part.halves()
                answers = await self._ask(first, options, until)
                return Answers.joined([answers, await self._ask(second, options, until)])
            await _rest(attempts.pause(refused))

    async def feedback(self, request_id: str, index: int, label: Any) -> bool:
        """As `Client.feedback`."""
        told = {"request_id": request_id, "index": index, "label": label}
        with self._reaching():
            response = await self._http.post("/v1/feedback", json=told)
        return known(response.status_code, response.headers, response.content)

    async def models(self) -> list[dict[str, Any]]:
        """As `Client.models`."""
        with self._reaching():
            response = await self._http.get("/v1/models")
        return models(response.status_code, response.headers, response.content)

    async def ready(self) -> bool:
        """As `Client.ready`."""
        try:
            response = await self._http.get("/health/ready", timeout=5.0)
        except require("httpx", "client").TransportError:
            return False
        return response.status_code == 200

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _checked(inputs: Sequence[Any]) -> Sequence[Any]:
    """A single text would be taken for a list of letters."""
    if isinstance(inputs, (str, bytes)) or not isinstance(inputs, Sequence):
        raise TypeError(f"inputs is {type(inputs).__name__}; predict takes a list: predict([text])")
    return inputs


def _sleep(seconds: float, given_up: threading.Event) -> None:
    given_up.wait(seconds)


async def _rest(seconds: float) -> None:
    await asyncio.sleep(seconds)
