"""The service as a process: takes the port, serves, drains on SIGTERM, exits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from modelwright.errors import GateError, UserError
from modelwright.runtime.libraries import require_all
from modelwright.runtime.progress import say
from modelwright.serve.settings import Settings

if TYPE_CHECKING:
    from modelwright.engines import Bundle
    from modelwright.serve._service import Service

REQUIRES = {
    "starlette": "serve",
    "uvicorn": "serve",
    "httptools": "serve",
    "prometheus_client": "serve",
}
INTERRUPTED = 130


def run(bundles: Sequence[Bundle], settings: Settings, *, as_json: bool = False) -> int:
    """Serve until SIGTERM (returns 0) or SIGINT (returns 130).

    Args:
        bundles: opened bundles; they are closed when the service has drained.
        settings: where to listen, and every limit.
        as_json: print one JSON line on stdout when ready.

    Raises:
        UserError: MW-710 when the port can't be taken, MW-801 without the extra `serve`.
        GateError: MW-603 when a bundle fails its self-test.
    """
    require_all(REQUIRES)
    listener = bind(settings.host, settings.port)
    import prometheus_client

    from modelwright.serve.app import Envelope, create_app

    prometheus_client.disable_created_metrics()  # half of all series, read by nobody
    _log_to_stderr()
    app = create_app(bundles, settings)
    if not isinstance(app, Envelope):
        raise TypeError(app)
    state = app.service.state()
    if not state["ready"]:
        app.service.close(timeout=5)
        listener.close()
        raise GateError(
            "MW-603",
            "; ".join(f"{name}: {why}" for name, why in state["reasons"].items()),
            expected="every bundle to give its golden answers on this machine",
            fix="run `mw verify BUNDLE`, then serve another variant or package again",
        )
    url = _url(settings.host, listener.getsockname()[1])
    return _serve(app, settings, listener, lambda: _announce(url, app.service, as_json))


def bind(host: str, port: int) -> socket.socket:
    """A bound socket, not yet listening: early callers are refused rather than kept waiting.

    Raises:
        UserError: MW-710.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        raise _port_taken(host, port, error) from error
    return bound


def _port_taken(host: str, port: int, error: Exception) -> UserError:
    why = str(error)
    if isinstance(error, socket.gaierror):
        why = "no such address"
    elif isinstance(error, OSError) and error.errno:
        why = os.strerror(error.errno)
    other = port + 1 if 1023 < port < 65535 else 8000
    return UserError(
        "MW-710",
        f"cannot listen on {host}:{port}: {why}",
        expected="a free port on an address of this machine",
        fix=f"choose another port, --port {other} or --port 0 for any free one",
    )


def _serve(
    app: Any, settings: Settings, listener: socket.socket, started: Callable[[], None]
) -> int:
    import uvicorn

    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.drain_s,
    )
    stopped_by: list[signal.Signals] = []

    class Server(uvicorn.Server):
        """uvicorn with our signals: it would die of the signal instead of returning."""

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.stop, number)
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            try:
                await super().startup(sockets)
            except OSError as error:  # another process began to listen since we bound
                raise _port_taken(settings.host, settings.port, error) from error
            started()

        def stop(self, number: signal.Signals) -> None:
            app.service.draining = True
            if stopped_by:
                self.force_exit = True
            stopped_by.append(number)
            self.should_exit = True

    factory = config.get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(Server(config).serve([listener]))
    return INTERRUPTED if stopped_by and stopped_by[0] == signal.SIGINT else 0


def _announce(url: str, service: Service, as_json: bool) -> None:
    """Say where the service is and how to ask it; on stdout only the JSON line."""
    models = list(service.models.values())
    say(f"ready: {url}")
    for model in models:
        say(f"  {model.name}  {model.manifest['task']}  version {model.version[:12]}")
    say(f"try it:\n  {curl(url, models[0])}\n  or open {url}/ in a browser; Ctrl-C stops")
    if as_json:
        line = {
            "event": "ready",
            "url": url,
            "pid": os.getpid(),
            "models": [
                {"name": model.name, "version": model.version, "task": model.manifest["task"]}
                for model in models
            ],
        }
        print(json.dumps(line, ensure_ascii=False), flush=True)


def curl(url: str, model: Any) -> str:
    """A command that asks the model one of its own examples."""
    if model.accepts_files:
        return f"curl -s {url}/v1/predict -F file=@picture.png"
    sample = model.examples[0]["input"] if model.examples else "hello"
    body = json.dumps({"inputs": [sample]}, ensure_ascii=False).replace("'", "'\\''")
    return f"curl -s {url}/v1/predict -H 'content-type: application/json' -d '{body}'"


def _url(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def _log_to_stderr() -> None:
    logger = logging.getLogger("modelwright.serve")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
