"""What callers sent, and what they said was right, from the files that the service wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.artifacts.traffic import Kind, read_traffic
from modelwright.errors import UserError


@dataclass(frozen=True)
class Recorded:
    """One input that a caller sent.

    Attributes:
        id: REQUEST_ID:INDEX.
        input: as it was sent.
        truth: what feedback said of it; None without.
    """

    id: str
    input: Any
    truth: Any = None


def recorded(folder: Path, model: str) -> list[Recorded]:
    """Inputs of a model, oldest first, each once, with the feedback to them.

    Raises:
        UserError: MW-653 where nothing was recorded, or not what callers sent.
    """
    if not folder.is_dir():
        raise UserError(
            "MW-804",
            f"there is no folder {folder}",
            expected="a folder that `mw serve --traffic` writes",
            fix="mw serve BUNDLE --traffic DIR",
        )
    rows = [row for row in _rows(folder, "requests") if row["model"] == model]
    truths = {_id(row): _parsed(row["label"]) for row in _rows(folder, "feedback")}
    found = {
        _id(row): Recorded(_id(row), content, truths.get(_id(row)))
        for row in rows
        if row["input"] is not None and (content := _parsed(row["input"])) is not None
    }
    if not found:
        seen = f"{len(rows)} recorded rows of {model}, none with what callers sent"
        raise UserError(
            "MW-653",
            seen if rows else f"{folder} holds no request to {model}",
            expected="recorded requests with their inputs",
            fix="serve: {record: {share: 0.1, inputs: true}} in the recipe, then package it and "
            "serve it with --traffic",
            file=str(folder),
        )
    return list(found.values())


def _rows(folder: Path, kind: Kind) -> Iterator[dict[str, Any]]:
    import pyarrow as pa

    try:
        yield from read_traffic(folder, kind).to_pylist()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise UserError(
            "MW-653",
            f"the recorded {kind} cannot be read: {str(error).splitlines()[0][:300]}",
            expected="Parquet files that the service wrote",
            fix=f"move the damaged file out of {folder}",
            file=str(folder),
        ) from error


def _id(row: dict[str, Any]) -> str:
    return f"{row['request_id']}:{row['index']}"


def _parsed(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
