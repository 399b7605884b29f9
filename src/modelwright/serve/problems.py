"""What the service answers instead of a prediction: one exception, RFC 9457 in the body.

A `ServiceError` is what a caller may see. Anything else that is raised while a request is answered
becomes MW-709 without a word of what happened inside.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

STATUS: dict[str, tuple[int, str]] = {
    "MW-701": (400, "The request body is malformed"),
    "MW-702": (422, "The request has the wrong shape"),
    "MW-703": (404, "Not found"),
    "MW-704": (413, "The request is too large"),
    "MW-705": (415, "The content type is not accepted"),
    "MW-706": (503, "The service is overloaded or not ready"),
    "MW-707": (504, "The deadline of the request passed"),
    "MW-708": (401, "A key is needed"),
    "MW-709": (500, "The service failed on this request"),
    "MW-711": (429, "More than the rate of the key"),
}
_TITLES = {
    403: "The key does not allow this",
    405: "Method not allowed",
    431: "The headers are too large",
}
PROBLEM_JSON = "application/problem+json"


@dataclasses.dataclass(eq=False)
class ServiceError(Exception):
    """An error that the caller is told.

    Attributes:
        code: MW-7xx; gives the status and the title.
        detail: what was wrong with this request.
        field: the member of the body that was wrong, like `inputs[3].text`.
        fix: what to change.
        status: another status than the code's own (405 for MW-703, 403 for MW-708).
        headers: response headers that belong to the error.
        request_id: of the request, as `Client` learns it.
        reason: of a refusal, a word that the metrics count it by.
    """

    code: str
    detail: str
    field: str = ""
    fix: str = ""
    status: int = 0
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    request_id: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        super().__init__(self.code, self.detail)
        self.status = self.status or STATUS[self.code][0]

    def __str__(self) -> str:
        place = f"{self.field}: " if self.field else ""
        fix = f" ({self.fix})" if self.fix else ""
        return f"{self.code} {place}{self.detail}{fix}"

    def as_dict(self, request_id: str) -> dict[str, Any]:
        """The members of the problem document; empty ones are left out."""
        members = {
            "type": f"urn:modelwright:error:{self.code}",
            "title": _TITLES.get(self.status) or STATUS[self.code][1],
            "status": self.status,
            "code": self.code,
            "detail": f"{self.field}: {self.detail}" if self.field else self.detail,
            "field": self.field,
            "fix": self.fix,
            "request_id": request_id,
        }
        return {name: value for name, value in members.items() if value != ""}
