"""What `Client` and `AsyncClient` share: dividing lists, and one request until it is answered.

Nothing here does input or output or waits.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from modelwright.serve.problems import STATUS, ServiceError

MOST_WAIT = 10.0
"""Longest pause of our own between two tries; Retry-After may ask for more."""
_AGAIN = (429, 502, 503)
_PLACE = re.compile(r"inputs\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Policy:
    """How a client asks.

    Attributes:
        retries: further tries after a refusal that may pass.
        most_inputs: inputs of one request; longer lists become several requests.
        most_bytes: of one request's inputs, about.
        at_once: requests under way for one list.
    """

    retries: int = 5
    most_inputs: int = 256
    most_bytes: int = 1_000_000
    at_once: int = 4


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a list that goes into one request.

    Attributes:
        start: place of its first input in the list.
        texts: its inputs as JSON.
    """

    start: int
    texts: Sequence[str]

    def body(self, options: Mapping[str, Any]) -> bytes:
        """The request's body."""
        rest = json.dumps(dict(options), ensure_ascii=False)[1:-1]
        joined = ",".join(self.texts)
        body = '{"inputs":[' + joined + "]" + (f",{rest}" if rest else "") + "}"
        return body.encode("utf-8", "backslashreplace")  # half a surrogate pair: the service tells

    def halves(self) -> tuple[Part, Part]:
        """For a service that takes less than this."""
        half = len(self.texts) // 2
        return Part(self.start, self.texts[:half]), Part(self.start + half, self.texts[half:])


@final
class Answers(list[dict[str, Any]]):
    """Predictions in the order of their inputs, and what each is known by.

    Attributes:
        asked: request id and place in the request, by which `feedback` speaks of an answer.
    """

    def __init__(
        self, predictions: Iterable[dict[str, Any]], asked: Iterable[tuple[str, int]]
    ) -> None:
        super().__init__(predictions)
        self.asked = list(asked)

    @classmethod
    def joined(cls, parts: Iterable[Answers]) -> Answers:
        """The answers of a list's parts, in order."""
        kept = list(parts)
        return cls(
            [one for part in kept for one in part], [one for part in kept for one in part.asked]
        )


def divided(inputs: Sequence[Any], policy: Policy) -> list[Part]:
    """A list in parts that fit one request each."""
    return list(_parts([json.dumps(one, ensure_ascii=False) for one in inputs], policy))


def _parts(texts: list[str], policy: Policy) -> Iterator[Part]:
    start = size = 0
    for place, text in enumerate(texts):
        full = place - start >= policy.most_inputs or size + len(text) > policy.most_bytes
        if place > start and full:
            yield Part(start, texts[start:place])
            start, size = place, 0
        size += len(text)
    if len(texts) > start:
        yield Part(start, texts[start:])


@final
class Attempts:
    """One request until it is answered.

    Args:
        part: of the list.
        policy: see `Policy`.
        until: when the answer is worth nothing, in seconds of the monotonic clock; or None.
    """

    def __init__(self, part: Part, policy: Policy, until: float | None) -> None:
        self._part, self._policy, self._until = part, policy, until
        self._tried = 0

    def left(self) -> float | None:
        """Seconds until the deadline, or None.

        Raises:
            ServiceError: MW-707 when it has passed.
        """
        if self._until is None:
            return None
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise late()
        return seconds

    def headers(self) -> dict[str, str]:
        """What tells the service of the deadline."""
        seconds = self.left()
        return {} if seconds is None else {"X-Deadline-Ms": str(max(1, int(seconds * 1000)))}

    def pause(self, error: ServiceError) -> float:
        """Seconds to wait before the next try.

        Raises:
            ServiceError: the refusal itself, when another try would not help or come too late; its
                field then names the place in the whole list.
        """
        self._tried += 1
        if error.status not in _AGAIN or self._tried > self._policy.retries:
            raise self._placed(error)
        seconds = min(MOST_WAIT, 0.1 * 2**self._tried) * random.uniform(0.5, 1.0)
        seconds = max(seconds, retry_after(error))
        left = self.left()
        if left is not None and seconds >= left:
            raise self._placed(error)
        return seconds

    def _placed(self, error: ServiceError) -> ServiceError:
        def shift(found: re.Match[str]) -> str:
            return f"inputs[{int(found[1]) + self._part.start}]"

        error.field = _PLACE.sub(shift, error.field, count=1)
        error.detail = _PLACE.sub(shift, error.detail, count=1)
        return error


def retry_after(error: ServiceError) -> float:
    """The seconds that the service asks to wait; 0 where it does not say."""
    given = error.headers.get("retry-after", "")
    return float(given) if given.isascii() and given.isdigit() else 0.0


def predictions(body: bytes, expected: int) -> Answers:
    """The answers in a response.

    Raises:
        ServiceError: MW-709 when it is none of ours.
    """
    try:
        told = json.loads(body)
        found, request_id = told["predictions"], str(told.get("request_id", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        found, request_id = None, ""
    if not isinstance(found, list) or len(found) != expected:
        raise _not_ours()
    return Answers(found, [(request_id, place) for place in range(expected)])


def known(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether the answer that feedback speaks of was still remembered.

    Raises:
        ServiceError: the refusal, or MW-709 when it is no answer of ours.
    """
    if status != 202:
        raise refusal(status, headers, body)
    try:
        return bool(json.loads(body)["known"])
    except (ValueError, KeyError, TypeError):
        raise _not_ours() from None


def models(status: int, headers: Mapping[str, str], body: bytes) -> list[dict[str, Any]]:
    """The models in a response.

    Raises:
        ServiceError: the refusal, or MW-709 when it is no answer of ours.
    """
    if status != 200:
        raise refusal(status, headers, body)
    try:
        found = json.loads(body)["data"]
    except (ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, list):
        raise _not_ours()
    return found


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> ServiceError:
    """What the service, or something before it, refused."""
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    told = told if isinstance(told, dict) else {}
    code = str(told.get("code"))
    if code not in STATUS:
        code = next((one for one, (known, _) in STATUS.items() if known == status), "MW-709")
    detail = str(told.get("detail") or f"the answer has the status {status}")
    field = str(told.get("field", ""))
    error = ServiceError(
        code,
        detail.removeprefix(f"{field}: ") if field else detail,
        field=field,
        fix=str(told.get("fix", "")),
        status=status,
        headers={name.lower(): value for name, value in headers.items()},
    )
    error.request_id = str(told.get("request_id", ""))
    return error


def _not_ours() -> ServiceError:
    detail = "the answer is not one of a Modelwright service"
    return ServiceError("MW-709", detail, fix="check the URL", status=502)


def unreachable(url: str, error: Exception) -> ServiceError:
    """No answer came."""
    why = str(error) or type(error).__name__
    return ServiceError("MW-706", f"no answer from {url}: {why}", fix="check that it runs")


def late() -> ServiceError:
    """The caller's own deadline passed."""
    return ServiceError("MW-707", "the deadline passed", fix="allow more time")
