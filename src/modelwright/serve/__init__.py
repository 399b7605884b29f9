"""The service: bundles in, answers over HTTP out.

in:  opened bundles and `Settings`
out: a running service (`run`), or the ASGI application of it (`create_app`)

bytes ─ protocols/ ─▶ PredictRequest ─ ServedModel.check ─▶ Worker ─▶ bundle ─▶ predictions
  ▲        │                 422 names the item     503 when full    │
  └────────┴──────────────────── Answer or ServiceError ◀────────────┘

app.py         routes, request ids, errors, metrics: all that knows HTTP
stage.py       the process: socket, signals, drain
_service.py    which model, is it ready, ask it
_model.py      one bundle: what it accepts, its self-test, its worker
_worker.py     a thread that runs waiting requests together
_metrics.py    what Prometheus reads
_openapi.py    the bundle's schemas as OpenAPI 3.1
page/          the page to try a model
protocols/     ONE FILE PER PROTOCOL: bytes to request, answer to bytes
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelwright.serve.app import create_app as create_app
    from modelwright.serve.settings import Settings as Settings
    from modelwright.serve.stage import run as run


def __getattr__(name: str) -> Any:
    """Public names on first use, so that `mw serve --help` needs no server library."""
    if name == "create_app":
        from modelwright.serve.app import create_app

        return create_app
    if name == "run":
        from modelwright.serve.stage import run

        return run
    if name == "Settings":
        from modelwright.serve.settings import Settings

        return Settings
    raise AttributeError(name)
