"""The handed rows as Olive's data loaders take them: each row alone, with its label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from _handed import Rows
from olive.data.registry import Registry


@Registry.register_dataset("handed_rows")
def handed_rows(handed: str, name: str, most: int = 0, **_more: Any) -> list[Any]:
    """Rows of a handed file, evenly spaced if at most so many are wanted."""
    rows = Rows(Path(handed), name)
    step = max(1, len(rows) // most) if most else 1
    return [item(rows, at) for at in range(0, len(rows), step)][: most or None]


def item(rows: Rows, at: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """One row, a batch of its own."""
    inputs = {key: torch.from_numpy(value) for key, value in rows.padded(range(at, at + 1)).items()}
    return inputs, torch.tensor([int(rows.labels[at])])
