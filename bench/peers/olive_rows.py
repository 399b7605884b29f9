"""The handed rows as Olive's data loaders take them: each row alone, with its label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from _handed import Rows
from olive.data.registry import Registry


@Registry.register_dataset("handed_rows")
def handed_rows(handed: str, name: str, most: int = 0, **_more: Any) -> list[Any]:
    """Rows of a handed file; if at most so many are wanted, evenly spaced and of one length."""
    rows = Rows(Path(handed), name)
    step = max(1, len(rows) // most) if most else 1
    places = list(range(0, len(rows), step))[: most or None]
    width = max(int(rows.starts[at + 1] - rows.starts[at]) for at in places) if most else 0
    return [item(rows, at, width) for at in places]


def item(rows: Rows, at: int, width: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """One row, a batch of its own."""
    inputs = {
        key: torch.nn.functional.pad(
            torch.from_numpy(value),
            (0, max(0, width - value.shape[1])),
            value=rows.pad_id if key == "input_ids" else 0,
        )
        for key, value in rows.padded(range(at, at + 1)).items()
    }
    return inputs, torch.tensor([int(rows.labels[at])])
