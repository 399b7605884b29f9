"""A bundle's golden rows: inputs with the answers that they gave when it was packaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_golden(folder: Path, most: int) -> list[dict[str, Any]]:
    """The first rows of `golden.jsonl` (`input`, `output`, `tolerance`); [] where there is none."""
    path = Path(folder) / "golden.jsonl"
    if not path.is_file():
        return []
    rows: list[dict[str, Any]] = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            if len(rows) == most:
                break
            if line.strip():
                rows.append(json.loads(line))
    return rows
