"""Alertmanager's configuration: who is told of what, how soon, and what keeps quiet meanwhile."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from modelwright.errors import UserError


def alertmanager(receiver_url: str | None = None) -> dict[str, Any]:
    """The configuration as data; `amtool check-config` reads it as YAML.

    Args:
        receiver_url: of a webhook that is sent everything, in Alertmanager's own JSON (version 4);
            None sends nothing and only shows alerts.

    Raises:
        UserError: MW-631 for what is no address of a webhook.
    """
    hooks = [{"url": _checked(receiver_url), "send_resolved": True}] if receiver_url else []
    receiver: dict[str, Any] = {"name": "team"}
    if hooks:
        receiver["webhook_configs"] = hooks
    return {
        "route": {
            "receiver": "team",
            "group_by": ["alertname", "model"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": [
                _route("severity", "page", wait="5s", interval="1m", again="1h"),
                _route("action", "renew", wait="5s", interval="5m", again="12h"),
                _route("severity", "info", wait="5m", interval="1h", again="24h"),
            ],
        },
        "inhibit_rules": [
            {
                "source_matchers": ['severity="page"'],
                "target_matchers": ['severity=~"ticket|info"'],
                "equal": ["model", "about"],
            },
            {
                "source_matchers": ['alertname="NoReadyReplica"'],
                "target_matchers": ['about=~"availability|latency|saturation|batching"'],
                "equal": ["model"],
            },
        ],
        "receivers": [receiver],
    }


def _route(label: str, value: str, *, wait: str, interval: str, again: str) -> dict[str, Any]:
    return {
        "matchers": [f'{label}="{value}"'],
        "group_wait": wait,
        "group_interval": interval,
        "repeat_interval": again,
    }


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or len(url) > 2000 or not url.isascii() or not url.isprintable() or " " in url:
        raise UserError(
            "MW-631",
            f"{url[:80]!r} is no address of a webhook",
            expected="http://HOST:PORT/PATH or https://HOST/PATH",
            fix="give the address that `mw renew --listen` or your own receiver listens on",
        )
    return url
