"""The service: bundles in, answers over HTTP out.

in:  opened bundles and `Settings`
out: a running service (`run`), or the ASGI application of it (`create_app`)

bytes ─ protocols/ ─▶ PredictRequest ─ check, admit, encode ─▶ queue ─▶ engine ─▶ predictions
  ▲        │            422 names the item, 503 when full  504 when late   │
  └────────┴──────────────────── Answer or ServiceError ◀───────────────────┘

app.py         request ids, keys, errors, metrics; with _asking.py, _reading.py, _feedback.py and
               _body.py all that knows HTTP
stage.py       the process: sockets, drain; _server.py, _http.py and _tls.py are its connections
_supervising.py  its parent, which replaces it
_opening.py    bundles by their digests, calls side by side where that is faster
_keys.py       who may ask for what, and how much
_service.py    which model, is it ready, ask it, until when
_rollout.py    the versions of a name: stable, canary, shadow
_deploying.py  changes them while they answer; _admin.py is asked to
_model.py      one bundle: what it accepts, its self-test with _golden.py, its worker
_admission.py  what a model takes on at once
_queue.py      which rows run next
_cost.py       what calls take, learned from calls
_worker.py     threads that run what waits
_runner.py     a batch: run it, isolate what fails, put answers together
_turns.py      several models share the machine
_metrics.py    what Prometheus reads
_recording.py  what monitoring will read
_logs.py       lines for people or machines
client.py      asks a service; _calling.py is what it does without a network
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
