"""What a service can be told; every number bounds something."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a service.

    Attributes:
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        max_body_bytes: largest request body; 413 beyond.
        max_items: most inputs in a request; 413 beyond.
        max_depth: deepest nesting of the request's JSON.
        max_batch: most features that one model call takes.
        max_queue_items: inputs that may wait for a model; 503 beyond.
        max_queue_bytes: bytes of requests that may wait for a model; 503 beyond.
        retry_after_s: what a 503 tells the caller to wait.
        drain_s: how long running requests may take after SIGTERM.
        keep_alive_s: how long an idle connection stays open.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    max_body_bytes: int = 10_000_000
    max_items: int = 1024
    max_depth: int = 16
    max_batch: int = 32
    max_queue_items: int = 4096
    max_queue_bytes: int = 64_000_000
    retry_after_s: int = 1
    drain_s: int = 30
    keep_alive_s: int = 65
