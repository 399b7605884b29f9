"""Who may ask for what: API keys from a file of hashes, with scopes and rates.

A key is `mw_ID_SECRET`. The file holds the SHA-256 of the whole key (256 random bits need no slower
hash), so that nobody who reads it can ask. It is read again when it changes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, final

from modelwright.errors import UserError
from modelwright.runtime.files import read_json, write_json
from modelwright.serve.problems import ServiceError

SCOPES = ("predict", "feedback", "metrics", "admin")
SCHEMA = 1
LOOK_S = 1.0
"""How often the file's time is looked at."""
_NOBODY = "0" * 64
_CHALLENGES = 'Basic realm="modelwright", Bearer realm="modelwright"'
"""Chromium reads the first alone, and asks its user for nothing but Basic."""
_LOG = logging.getLogger("modelwright.serve")


@dataclass(frozen=True, slots=True)
class Key:
    """What the file holds of one key.

    Attributes:
        id: its public part.
        name: whose it is.
        sha256: of the whole key, in hexadecimal.
        scopes: what it may do.
        rate: inputs a second; 0 for any.
        created: when, in ISO 8601.
    """

    id: str
    name: str
    sha256: str
    scopes: tuple[str, ...] = ("predict",)
    rate: float = 0.0
    created: str = ""


def new_key(name: str, scopes: Sequence[str], rate: float, created: str) -> tuple[str, Key]:
    """A key, which is told once, and what is kept of it."""
    identity = secrets.token_hex(4)
    text = f"mw_{identity}_{secrets.token_urlsafe(32)}"
    return text, Key(identity, name, _hash(text), tuple(scopes), rate, created)


def read_keys(path: Path) -> list[Key]:
    """The keys of a file; [] where there is none.

    Raises:
        UserError: MW-713 when it is no file of keys.
    """
    if not path.is_file():
        return []
    try:
        content = read_json(path)
        if content["schema"] != SCHEMA:
            raise ValueError(f"schema {content['schema']}")
        return [_key(entry) for entry in content["keys"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            "MW-713",
            f"it is not a file of keys: {error}",
            expected="a file that `mw keys add` wrote",
            fix="make it anew: mw keys add NAME --file FILE",
            file=str(path),
        ) from error


def write_keys(path: Path, keys: Sequence[Key]) -> None:
    """Replace the file; only its owner may read it."""
    write_json(path, {"schema": SCHEMA, "keys": [asdict(key) for key in keys]})
    os.chmod(path, 0o600)


def _key(entry: Mapping[str, Any]) -> Key:
    key = replace(Key(**entry), scopes=tuple(entry["scopes"]))
    if not set(key.scopes) <= set(SCOPES) or len(key.sha256) != 64 or not key.rate >= 0:
        raise ValueError(f"the key {key.id} has unknown scopes, no hash or no rate")
    return key


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def given_key(headers: Mapping[str, str]) -> str:
    """The key in `Authorization: Bearer`, `X-API-Key`, or as the password of `Basic`; "" for none.

    A browser repeats Basic by itself, so it counts only where the request is the page's own.
    """
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() == "basic" and headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        try:
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
        except ValueError:
            return ""
    return headers.get("x-api-key", "")


@final
class KeyRing:
    """The keys of a service and what each may still spend. Used from one thread.

    Args:
        path: of the file; must be readable at first, and is looked at again while serving.

    Raises:
        UserError: MW-713 without one usable key.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._buckets: dict[str, Bucket] = {}
        self._seen, self._looked = _stamp(path), time.monotonic()
        self._keys = {key.id: key for key in read_keys(path)}
        if not self._keys:
            raise UserError(
                "MW-713",
                "it holds no key",
                expected="a file with at least one key",
                fix=f"make one: mw keys add NAME --file {path}",
                file=str(path),
            )

    def check(self, headers: Mapping[str, str], scope: str) -> Key:
        """Whose request it is.

        Args:
            headers: names in lower case.
            scope: what it wants to do; "" for what any key may.

        Raises:
            ServiceError: MW-708, with 401 for no valid key and 403 for one that may not.
        """
        self._look()
        text = given_key(headers)
        parts = text.split("_", 2)
        key = self._keys.get(parts[1]) if len(parts) == 3 else None
        same = hmac.compare_digest(_hash(text), key.sha256 if key else _NOBODY)
        if key is None or not same:
            detail = "the key is not valid" if text else "a key is needed"
            realm = {"WWW-Authenticate": _CHALLENGES}
            fix = "send Authorization: Bearer KEY"
            raise ServiceError("MW-708", detail, fix=fix, headers=realm, reason="key")
        if scope and scope not in key.scopes:
            detail = f"the key {key.id} may not do this: it needs the scope {scope}"
            fix = f"use a key made with `mw keys add NAME --scope {scope}`"
            raise ServiceError("MW-708", detail, fix=fix, status=403, reason="scope")
        return key

    def spend(self, key: Key, inputs: int) -> None:
        """Charge a key; a large request may overdraw it, and then the next ones wait.

        Args:
            key: from `check`.
            inputs: 0 only asks.

        Raises:
            ServiceError: MW-711 with Retry-After while it is overdrawn.
        """
        if not key.rate:
            return
        bucket = self._buckets.get(key.id)
        if bucket is None or bucket.rate != key.rate:
            bucket = self._buckets[key.id] = Bucket(key.rate)
        if (seconds := bucket.spend(inputs, time.monotonic())) > 0:
            wait = str(int(seconds) + 1)
            detail = f"the key {key.id} has a rate of {key.rate:g} inputs a second"
            fix = f"send the request again after {wait} s"
            headers = {"Retry-After": wait}
            raise ServiceError("MW-711", detail, fix=fix, headers=headers, reason="rate")

    def _look(self) -> None:
        """Read the file again when it changed; one that is gone or no file of keys changes nothing."""
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        if (stamp := _stamp(self._path)) == self._seen:
            return
        self._seen = stamp
        if not self._path.is_file():
            _LOG.error("the keys stay as they were: %s is gone", self._path)
            return
        try:
            self._keys = {key.id: key for key in read_keys(self._path)}
        except UserError as error:
            _LOG.error("the keys stay as they were: %s", error)
        self._buckets = {name: one for name, one in self._buckets.items() if name in self._keys}


@final
class Bucket:
    """A token bucket of one second's worth, at least one input."""

    __slots__ = ("_at", "_left", "_most", "rate")

    def __init__(self, rate: float) -> None:
        self.rate, self._most = rate, max(1.0, rate)
        self._left, self._at = self._most, 0.0

    def spend(self, inputs: int, now: float) -> float:
        """0 and it is spent, or the seconds after which something is there again."""
        self._left = min(self._most, self._left + (now - self._at) * self.rate)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self.rate
        self._left -= inputs
        return 0.0


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_ino)
