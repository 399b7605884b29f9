"""What the head of a base knows already: rows of weights by label, for a model that goes on from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from modelwright.runtime.files import read_json

HEAD, LABELS = "head.safetensors", "labels.json"


def take_over_head(folder: Path, head: torch.nn.Linear, labels: Sequence[str]) -> int:
    """Copy the rows of the labels that the base knew into a new head; returns how many.

    Args:
        folder: of the base; nothing happens where it holds no head.
        head: of the new network, changed in place.
        labels: of the new task; empty for a regression.
    """
    from safetensors.torch import load_file

    if not (folder / HEAD).is_file():
        return 0
    known = read_json(folder / LABELS)
    state = load_file(str(folder / HEAD))
    if state["weight"].shape[1] != head.in_features:
        return 0
    if not labels:
        pairs = [(n, n) for n in range(min(len(state["weight"]), head.out_features))]
    else:
        place = {label: number for number, label in enumerate(known)}
        pairs = [(n, place[label]) for n, label in enumerate(labels) if label in place]
    with torch.no_grad():
        for new, old in pairs:
            head.weight[new] = state["weight"][old]
            head.bias[new] = state["bias"][old]
    return len(pairs)
