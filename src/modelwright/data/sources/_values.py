"""Values of typed stores (Parquet, databases, hubs) in the plain types that a row holds."""

from __future__ import annotations

import datetime
import decimal
import hashlib
import json
import uuid
from collections.abc import Iterable
from typing import Any

from modelwright.data.sources import BrokenRow, RawRow

_PLAIN = (str, int, float, bool, bytes, type(None))


def plain_row(values: dict[str, Any]) -> dict[str, Any]:
    """A row whose values are strings, numbers, bytes, lists and dictionaries of these."""
    return {name: plain(value) for name, value in values.items()}


def plain(value: Any) -> Any:
    """One value: times as ISO 8601, decimals as numbers, an image's struct as its bytes."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, dict):
        if value.keys() == {"bytes", "path"}:
            return _file_bytes(value)
        return plain_row(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    return str(value)


def _file_bytes(value: dict[str, Any]) -> bytes | None:
    """The content of an image or audio cell, which holds it or names a local file."""
    if value["bytes"] is not None or not value["path"]:
        return value["bytes"]
    try:
        with open(value["path"], "rb") as file:
            return file.read()
    except OSError:
        return None


def class_names(features: Any) -> dict[str, list[str]]:
    """Names of integer classes in a hub's `features` (their JSON form), by column."""
    found: dict[str, list[str]] = {}
    for column, feature in dict(features).items():
        inner = feature
        while isinstance(inner, dict) and "names" not in inner and "feature" in inner:
            inner = inner["feature"]
        if isinstance(inner, list) and inner:
            inner = inner[0]
        if isinstance(inner, dict) and isinstance(inner.get("names"), list):
            found[column] = [str(name) for name in inner["names"]]
    return found


def digest_rows(rows: Iterable[RawRow | BrokenRow], *, first: str) -> str:
    """sha256 over `first` and every row in order, with their count."""
    hasher, count = hashlib.sha256(first.encode()), 0
    for row in rows:
        content = row.values if isinstance(row, RawRow) else [row.reason, row.detail]
        text = json.dumps(content, sort_keys=True, ensure_ascii=True, default=_digestible)
        hasher.update(text.encode() + b"\n")
        count += 1
    hasher.update(str(count).encode())
    return hasher.hexdigest()


def _digestible(value: Any) -> str:
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else str(value)
