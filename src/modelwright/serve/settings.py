"""What a service can be told; every number bounds something."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a service.

    Attributes:
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        keys: file of API keys (`mw keys`); needed where `host` is not loopback.
        tls_cert: certificate chain in PEM; with `tls_key` the service speaks TLS.
        tls_key: its private key in PEM.
        traffic: folder where requests are recorded that recipes allow to, and all feedback.
        traffic_bytes: of the files of requests, and of those of feedback; the oldest go.
        admin_host: address of the admin port.
        admin_port: port to load, swap and try versions on; None leaves it closed.
        bundles: folder that bundles may be loaded from; needed with `admin_port`.
        state: file that keeps what is served over a restart.
        log: form of the log's lines, text or json.
        access_log: whether every request has a line.
        max_connections: open connections; further ones are closed.
        max_head_bytes: largest request line and headers; 431 beyond.
        head_s: how long a connection may take to send them.
        body_s: how long a caller may take to send the body, 408 beyond, or read nothing of an
            answer that waits to be sent.
        max_body_bytes: largest request body, unpacked; 413 beyond.
        max_items: most inputs in a request; 413 beyond.
        max_depth: deepest nesting of the request's JSON.
        max_batch: most features that one model call takes.
        max_queue_items: inputs that a model has taken on and not answered; 503 beyond.
        max_queue_tokens: the same in tokens.
        max_queue_bytes: the same in bytes of requests and of decoded images; and of all bodies
            that are on their way.
        deadline_s: in how many seconds a request is answered, or refused with 504; a caller may ask
            for less (`X-Deadline-Ms`), a recipe too (`serve.deadline_ms`).
        stall_s: a model call that runs longer makes the service not ready; one that runs twice as
            long, or an event loop that stands still for so long, has the process replaced.
        drain_s: how long running requests may take after SIGTERM.
        keep_alive_s: how long an idle connection stays open.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    keys: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    traffic: Path | None = None
    traffic_bytes: int = 1_000_000_000
    admin_host: str = "127.0.0.1"
    admin_port: int | None = None
    bundles: Path | None = None
    state: Path | None = None
    log: Literal["text", "json"] = "text"
    access_log: bool = False
    max_connections: int = 4096
    max_head_bytes: int = 16_384
    head_s: float = 10.0
    body_s: float = 30.0
    max_body_bytes: int = 10_000_000
    max_items: int = 1024
    max_depth: int = 16
    max_batch: int = 32
    max_queue_items: int = 4096
    max_queue_tokens: int = 262_144
    max_queue_bytes: int = 256_000_000
    deadline_s: float = 30.0
    stall_s: float = 60.0
    drain_s: int = 30
    keep_alive_s: int = 65
