"""What the service logs: one line for each event, as text or as JSON, never what callers sent.

A request's line has its id, route, status, time, model, key and trace; the route is ours (`/v1/predict`),
not the path that was asked.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Literal, final

Form = Literal["text", "json"]
ACCESS = logging.getLogger("modelwright.serve.access")
_NAMES = ("modelwright.serve", "modelwright.traffic", "opentelemetry")


@final
class JsonLines(logging.Formatter):
    """A JSON object a line: time, level, message, the event's fields, and the trace of an error."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


@final
class Text(logging.Formatter):
    """The same for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        said = "".join(f" {name}={value}" for name, value in fields.items() if value != "")
        head, _, rest = super().format(record).partition("\n")
        return f"{head}{said}\n{rest}" if rest else head + said


def log_to_stderr(form: Form, *, access: bool) -> None:
    """Set the service's loggers up.

    Args:
        form: of each line.
        access: whether every request has a line.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else Text())
    for name in _NAMES:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False
    ACCESS.disabled = not access


def log_request(seconds: float, **fields: Any) -> None:
    """One line for a request that was answered."""
    if ACCESS.isEnabledFor(logging.INFO):
        ACCESS.info("request", extra={"fields": {**fields, "seconds": round(seconds, 6)}})
