"""The service as a process: takes the port, serves, drains on SIGTERM, exits."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import GateError, UserError
from modelwright.runtime.libraries import require_all
from modelwright.runtime.process import age
from modelwright.runtime.progress import say
from modelwright.serve._keys import KeyRing
from modelwright.serve._logs import log_to_stderr
from modelwright.serve._memory import give_back
from modelwright.serve._supervising import Line
from modelwright.serve._tls import Certificate
from modelwright.serve._tracing import tracing_of
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
SWITCH_S = 0.0005
"""Seconds after which a thread lets another one have the interpreter. At Python's 5 ms a call of the
engine that is done waits that long for a busy event loop, which is longer than the call."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The sockets of a service: bound, not yet listening.

    Attributes:
        main: of the routes.
        admin: of the admin routes, where they are wanted.
    """

    main: socket.socket
    admin: socket.socket | None

    @classmethod
    def bound(cls, settings: Settings) -> Ports:
        """Raises `UserError` MW-710 for a port that can't be taken."""
        main = bind(settings.host, settings.port)
        if settings.admin_port is None:
            return cls(main, None)
        return cls(main, bind(settings.admin_host, settings.admin_port))

    def sockets(self) -> list[socket.socket]:
        """All of them."""
        return [one for one in (self.main, self.admin) if one is not None]


def run(
    bundles: Sequence[Bundle],
    settings: Settings,
    *,
    as_json: bool = False,
    ports: Ports | None = None,
    line: Line | None = None,
) -> int:
    """Serve until SIGTERM (returns 0) or SIGINT (returns 130).

    Args:
        bundles: opened bundles; they are closed when the service has drained.
        settings: where to listen, and every limit.
        as_json: print one JSON line on stdout when ready.
        ports: bound before; as `settings` say when not given.
        line: to the parent process, where there is one that replaces this one.

    Raises:
        UserError: see `checked`; MW-710 when the port can't be taken, MW-801 without the extra
            `serve`, or `telemetry` where traces are asked for.
        GateError: MW-603 when a bundle fails its self-test.
    """
    require_all(REQUIRES)
    sys.setswitchinterval(SWITCH_S)
    certificate, tracing = checked(settings), tracing_of()
    ports = ports or Ports.bound(settings)
    import prometheus_client

    from modelwright.serve.app import Envelope, create_app

    prometheus_client.disable_created_metrics()  # half of all series, read by nobody
    log_to_stderr(settings.log, access=settings.access_log)
    app = create_app(bundles, settings, tracing)
    if not isinstance(app, Envelope):
        raise TypeError(app)
    state = app.service.state()
    if app.service.models and not state["ready"]:
        app.service.close(timeout=5)
        for one in ports.sockets():
            one.close()
        raise GateError(
            "MW-603",
            "; ".join(f"{name}: {why}" for name, why in state["reasons"].items()),
            expected="every bundle to give its golden answers on this machine",
            fix="run `mw verify BUNDLE`, then serve another variant or package again",
        )
    scheme = "https" if certificate else "http"
    url = _url(scheme, settings.host, ports.main.getsockname()[1])
    admin = _admin(app.service, settings)
    said: dict[str, str] = {}
    if ports.admin is not None:
        said["admin"] = _url(scheme, settings.admin_host, ports.admin.getsockname()[1])
    process = Process(settings, ports, certificate, line)
    return process.serve(app, admin, lambda: _announce(url, app, as_json, said))


def _admin(service: Service, settings: Settings) -> Any:
    """The admin application, or None; what was served besides the stable versions is loaded again,
    with or without it."""
    if settings.state is None and settings.admin_port is None:
        return None
    from modelwright.serve._admin import create_admin
    from modelwright.serve._deploying import Deployer, read_state
    from modelwright.serve._opening import open_verified

    deployer = Deployer(service, open_verified, settings.bundles or Path(), settings.state)
    deployer.restore(read_state(settings.state))
    return None if settings.admin_port is None else create_admin(service, deployer)


def checked(settings: Settings) -> Certificate | None:
    """The TLS files, read, if there are any.

    Raises:
        UserError: MW-712 without keys beyond loopback or for the admin port, MW-713 for files that
            can't be used, MW-805 for half of TLS.
    """
    if settings.keys is None and not is_loopback(settings.host):
        raise UserError(
            "MW-712",
            f"{settings.host} can be reached from other machines, and no keys are asked for",
            expected="a file of keys, or an address of this machine alone (127.0.0.1)",
            fix="mw keys add NAME --file keys.json, then mw serve ... --keys keys.json",
        )
    if settings.admin_port is not None and (settings.keys is None or settings.bundles is None):
        raise UserError(
            "MW-712",
            "the admin port is asked for without keys or without a folder of bundles",
            expected="a file of keys with one of the scope admin, and where bundles may come from",
            fix="mw keys add NAME --scope admin, then --keys keys.json --bundles DIR",
        )
    if settings.keys is not None:
        KeyRing(settings.keys)
    if settings.tls_cert is None and settings.tls_key is None:
        return None
    if settings.tls_cert is None or settings.tls_key is None:
        raise UserError(
            "MW-805",
            "one of --tls-cert and --tls-key is missing",
            expected="both or neither",
            fix="give the certificate chain and its key",
        )
    return Certificate(settings.tls_cert, settings.tls_key)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; names count as beyond, but for localhost."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(host: str, port: int) -> socket.socket:
    """A bound socket, not yet listening: early callers are refused rather than kept waiting.

    It names its protocol, for asyncio sends small answers at once on nothing but known TCP; on
    others each answer waits 40 ms for the caller's acknowledgement.

    Raises:
        UserError: MW-710.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
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


def _config(app: Any, settings: Settings, certificate: Certificate | None) -> Any:
    import uvicorn

    from modelwright.serve._http import bounded

    config = uvicorn.Config(
        app,
        http=bounded(settings),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # anybody can write X-Forwarded-For
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.drain_s,
    )
    config.load()
    if certificate is not None:
        config.ssl = certificate.context
    return config


@dataclass(frozen=True, slots=True)
class Process:
    """The serving process: where it listens, and who replaces it."""

    settings: Settings
    ports: Ports
    certificate: Certificate | None
    line: Line | None

    def serve(self, app: Any, admin: Any, announce: Callable[[], None]) -> int:
        """Serve until asked to stop, and return the exit code."""
        from modelwright.serve._server import Beside, Hooks, Main

        config = _config(app, self.settings, self.certificate)
        beside = None
        if self.ports.admin is not None:
            beside = Beside(_config(admin, self.settings, self.certificate)), self.ports.admin
        tasks: list[asyncio.Task[None]] = []

        def started() -> None:
            metrics = app.service.metrics
            if (certificate := self.certificate) is not None:
                metrics.certificate(lambda: certificate.ends)
                tasks.append(asyncio.create_task(certificate.watch()))
            tasks.append(asyncio.create_task(give_back()))
            if (seconds := age()) is not None:
                metrics.startup_seconds.set(seconds)
            if self.line is not None:
                metrics.restarts.set(self.line.restarts)
                self.line.ready(main.stop, lambda: app.service.live)
            announce()

        def stopping() -> None:
            app.service.draining = True
            if self.line is not None:
                self.line.stopping()

        main = Main(config, Hooks(started, stopping), beside)
        try:
            with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
                runner.run(main.serve([self.ports.main]))
        except OSError as error:
            if main.started:
                raise
            # another process began to listen since we bound
            raise _port_taken(self.settings.host, self.settings.port, error) from error
        return INTERRUPTED if main.stopped_by[:1] == [signal.SIGINT] else 0


def _announce(url: str, app: Any, as_json: bool, more: dict[str, str]) -> None:
    """Say where the service is and how to ask it; on stdout only the JSON line."""
    service: Service = app.service
    models = list(service.models.values())
    say(f"ready: {url}")
    for model in models:
        say(f"  {model.name}  {model.manifest['task']}  version {model.version[:12]}")
    keyed = service.keys is not None
    if models:
        asking = curl(url, models[0], keyed=keyed)
        say(f"try it:\n  {asking}\n  or open {url}/ in a browser; Ctrl-C stops")
    if as_json:
        line = {
            "event": "ready",
            "url": url,
            **more,
            "pid": os.getpid(),
            "models": [
                {"name": model.name, "version": model.version, "task": model.manifest["task"]}
                for model in models
            ],
        }
        print(json.dumps(line, ensure_ascii=False), flush=True)


def curl(url: str, model: Any, *, keyed: bool = False) -> str:
    """A command that asks the model one of its own examples."""
    if keyed:
        url = f"-H 'authorization: Bearer KEY' {url}"
    if model.accepts_files:
        return f"curl -s {url}/v1/predict -F file=@picture.png"
    sample = model.examples[0]["input"] if model.examples else "hello"
    body = json.dumps({"inputs": [sample]}, ensure_ascii=False).replace("'", "'\\''")
    return f"curl -s {url}/v1/predict -H 'content-type: application/json' -d '{body}'"


def _url(scheme: str, host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"{scheme}://{shown}:{port}"
