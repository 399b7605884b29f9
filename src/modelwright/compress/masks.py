"""Which heads and neurons to keep when together they may cost only so much.

For every number of heads, the rest of the budget goes to neurons, each taken where it matters most;
the split that keeps the most importance wins (Kwon et al. 2022, arXiv 2204.09656, with measured
costs in place of operations). Widths are multiples of what kernels like, and no layer goes empty.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelwright.compress.importance import Importance


def search_masks(
    importance: Importance,
    head_costs: Sequence[float],
    neuron_costs: Sequence[float],
    budget: float,
    multiple: int = 32,
) -> tuple[list[list[int]], list[list[int]]]:
    """Kept heads and neurons of each layer.

    Args:
        importance: of every head and neuron.
        head_costs: of 0, 1, ... heads in one layer, rising; all 0 keeps all heads.
        neuron_costs: of 0, 1, ... groups of `multiple` neurons in one layer; all 0 keeps all.
        budget: cost of all kept heads and neurons together.
        multiple: neurons of a layer are kept in groups of this size.
    """
    heads = _Order.of([np.sort(row)[::-1] for row in importance.heads], head_costs)
    groups = _Order.of([_grouped(scores, multiple) for scores in importance.neurons], neuron_costs)
    layers = len(importance.heads)
    counts = range(layers, len(heads.layers) + 1) if any(head_costs) else [len(heads.layers)]
    best: tuple[float, int, int] = (-1.0, len(heads.layers), len(groups.layers))
    for count in counts:
        left = budget * 1.001 - heads.spent[count]
        room = int(np.searchsorted(groups.spent, left, side="right")) - 1
        room = min(len(groups.layers), max(layers, room))
        kept = heads.gained[count] + groups.gained[room]
        if kept > best[0] and (groups.spent[room] <= left or count == counts[0]):
            best = (float(kept), count, room)
    _, count, room = best
    return (
        _best(list(importance.heads), heads.taken(count, layers)),
        _best(importance.neurons, [multiple * n for n in groups.taken(room, layers)]),
    )


@dataclass(frozen=True)
class _Order:
    """In which order the parts of all layers are taken; the first of each layer come first.

    Attributes:
        layers: of each part in turn.
        gained: importance of the first 0, 1, ... parts.
        spent: their cost.
    """

    layers: list[int]
    gained: np.ndarray
    spent: np.ndarray

    @classmethod
    def of(cls, gains: Sequence[np.ndarray], costs: Sequence[float]) -> _Order:
        """By importance for each millisecond; `gains` of a layer's parts fall."""
        steps = np.diff(costs)
        waiting = [(-math.inf, layer, 0) for layer in range(len(gains))]
        layers, gained, spent = [], [0.0], [0.0]
        while waiting:
            _, layer, number = heapq.heappop(waiting)
            layers.append(layer)
            gained.append(gained[-1] + float(gains[layer][number]))
            spent.append(spent[-1] + float(steps[number]))
            if (after := number + 1) < len(gains[layer]):
                worth = float(gains[layer][after]) / max(float(steps[after]), 1e-9)
                heapq.heappush(waiting, (-worth, layer, after))
        return cls(layers, np.array(gained), np.array(spent))

    def taken(self, count: int, layers: int) -> list[int]:
        """Parts by layer of the first `count`."""
        return np.bincount(self.layers[:count], minlength=layers).tolist()


def _grouped(scores: np.ndarray, multiple: int) -> np.ndarray:
    """Importance of groups of neurons, best first."""
    ordered = np.sort(scores)[::-1]
    return np.add.reduceat(ordered, np.arange(0, len(ordered), multiple))


def _best(scores: Sequence[np.ndarray], counts: Sequence[int]) -> list[list[int]]:
    """The most important parts of each layer, in their own order."""
    return [
        sorted(int(i) for i in np.argsort(-row, kind="stable")[:count])
        for row, count in zip(scores, counts, strict=True)
    ]
