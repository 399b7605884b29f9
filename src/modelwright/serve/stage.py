"""The service as a process: takes the port, serves, drains on SIGTERM, exits."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import signal
import socket
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import GateError, UserError
from modelwright.runtime.libraries import require_all
from modelwright.runtime.progress import say
from modelwright.serve._keys import KeyRing
from modelwright.serve._logs import log_to_stderr
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


def run(bundles: Sequence[Bundle], settings: Settings, *, as_json: bool = False) -> int:
    """Serve until SIGTERM (returns 0) or SIGINT (returns 130).

    Args:
        bundles: opened bundles; they are closed when the service has drained.
        settings: where to listen, and every limit.
        as_json: print one JSON line on stdout when ready.

    Raises:
        UserError: see `checked`; MW-710 when the port can't be taken, MW-801 without the extra
            `serve`, or `telemetry` where traces are asked for.
        GateError: MW-603 when a bundle fails its self-test.
    """
    require_all(REQUIRES)
    certificate, tracing = checked(settings), tracing_of()
    listener = bind(settings.host, settings.port)
    import prometheus_client

    from modelwright.serve.app import Envelope, create_app

    prometheus_client.disable_created_metrics()  # half of all series, read by nobody
    log_to_stderr(settings.log, access=settings.access_log)
    app = create_app(bundles, settings, tracing)
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
    scheme = "https" if certificate else "http"
    url = _url(scheme, settings.host, listener.getsockname()[1])
    admin = _admin(app.service, settings)
    said = {} if admin is None else {"admin": _url(scheme, settings.admin_host, admin.port)}
    return _serve(
        app, settings, listener, certificate, admin, lambda: _announce(url, app, as_json, said)
    )


@dataclass(frozen=True, slots=True)
class Admin:
    """The admin application and where it listens."""

    app: Any
    listener: socket.socket

    @property
    def port(self) -> int:
        return self.listener.getsockname()[1]


def _admin(service: Service, settings: Settings) -> Admin | None:
    """What was served besides the stable versions is loaded again, with or without a port."""
    if settings.state is None and settings.admin_port is None:
        return None
    from modelwright.engines import Bundle
    from modelwright.serve._admin import create_admin
    from modelwright.serve._deploying import Deployer, read_state

    deployer = Deployer(service, Bundle.open, settings.bundles or Path(), settings.state)
    deployer.restore(read_state(settings.state))
    if settings.admin_port is None:
        return None
    listener = bind(settings.admin_host, settings.admin_port)
    return Admin(create_admin(service, deployer), listener)


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


def _serve(
    app: Any,
    settings: Settings,
    listener: socket.socket,
    certificate: Certificate | None,
    admin: Admin | None,
    started: Callable[[], None],
) -> int:
    import uvicorn

    config = _config(app, settings, certificate)
    stopped_by: list[signal.Signals] = []

    class Beside(uvicorn.Server):
        """The admin port's; it ends when the other one does."""

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            yield

    beside = Beside(_config(admin.app, settings, certificate)) if admin else None

    class Main(uvicorn.Server):
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
            if certificate is not None:
                self.watching = asyncio.create_task(certificate.watch())
            if admin is not None and beside is not None:
                self.serving = asyncio.create_task(beside.serve([admin.listener]))
            started()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            if beside is not None:
                beside.should_exit = True
                await self.serving
            await super().shutdown(sockets)

        def stop(self, number: signal.Signals) -> None:
            app.service.draining = True
            if stopped_by:
                self.force_exit = True
            stopped_by.append(number)
            self.should_exit = True

    factory = config.get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(Main(config).serve([listener]))
    return INTERRUPTED if stopped_by and stopped_by[0] == signal.SIGINT else 0


def _announce(url: str, app: Any, as_json: bool, more: dict[str, str]) -> None:
    """Say where the service is and how to ask it; on stdout only the JSON line."""
    service: Service = app.service
    models = list(service.models.values())
    say(f"ready: {url}")
    for model in models:
        say(f"  {model.name}  {model.manifest['task']}  version {model.version[:12]}")
    keyed = service.keys is not None
    say(
        f"try it:\n  {curl(url, models[0], keyed=keyed)}\n  or open {url}/ in a browser; Ctrl-C stops"
    )
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
