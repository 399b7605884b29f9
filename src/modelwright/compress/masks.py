"""Which heads and neurons to keep when together they may cost only so much.

For every number of heads, the rest of the budget goes to neurons, each taken where it matters most;
the split that keeps the most importance wins (Kwon et al. 2022, arXiv 2204.09656, with measured
costs in place of operations). Widths are multiples of what kernels like, and no layer goes empty.
"""

from __future__ import annotations

import math

import numpy as np

from modelwright.compress.importance import Importance


def search_masks(
    importance: Importance, head_cost: float, neuron_cost: float, budget: float, multiple: int = 32
) -> tuple[list[list[int]], list[list[int]]]:
    """Kept heads and neurons of each layer.

    Args:
        importance: of every head and neuron.
        head_cost: of one head; 0 keeps all heads.
        neuron_cost: of one neuron; 0 keeps all neurons.
        budget: cost of all kept heads and neurons together.
        multiple: neurons of a layer are kept in groups of this size.
    """
    layers, per_layer = importance.heads.shape
    groups = _groups(importance.neurons, multiple)
    head_order = _ranked(importance.heads)
    best: tuple[float, int, int] = (-1.0, layers * per_layer, len(groups))
    counts = range(layers, layers * per_layer + 1) if head_cost else [layers * per_layer]
    gains = np.cumsum([0.0, *(gain for gain, _, _ in groups)])
    head_gains = np.cumsum([0.0, *(importance.heads[layer, head] for layer, head in head_order)])
    for heads in counts:
        left = budget - heads * head_cost
        room = int(left / (neuron_cost * multiple)) if neuron_cost else len(groups)
        room = min(len(groups), max(layers, room))
        kept = head_gains[heads] + gains[room]
        over = heads * head_cost + room * multiple * neuron_cost > budget * 1.001
        if kept > best[0] and not (over and heads > counts[0]):
            best = (float(kept), heads, room)
    _, heads, room = best
    return _heads(head_order[:heads], layers), _neurons(groups[:room], importance.neurons, multiple)


def _ranked(heads: np.ndarray) -> list[tuple[int, int]]:
    """(layer, head) by falling importance; each layer's best head comes first of all."""
    first = [(layer, int(row.argmax())) for layer, row in enumerate(heads)]
    order = np.argsort(-heads, axis=None, kind="stable")
    pairs = [divmod(int(place), heads.shape[1]) for place in order]
    return first + [pair for pair in pairs if pair not in set(first)]


def _groups(neurons: list[np.ndarray], multiple: int) -> list[tuple[float, int, int]]:
    """(gain, layer, number) of groups of neurons; each layer's best group comes first of all."""
    first: list[tuple[float, int, int]] = []
    rest: list[tuple[float, int, int]] = []
    for layer, scores in enumerate(neurons):
        ordered = np.sort(scores)[::-1]
        for number in range(math.ceil(len(ordered) / multiple)):
            part = ordered[number * multiple : (number + 1) * multiple]
            (rest if number else first).append((float(part.sum()), layer, number))
    return first + sorted(rest, key=lambda group: -group[0])


def _heads(kept: list[tuple[int, int]], layers: int) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in range(layers)]
    for layer, head in kept:
        found[layer].append(head)
    return [sorted(each) for each in found]


def _neurons(
    kept: list[tuple[float, int, int]], neurons: list[np.ndarray], multiple: int
) -> list[list[int]]:
    counts = [0] * len(neurons)
    for _, layer, _ in kept:
        counts[layer] += multiple
    return [
        sorted(int(i) for i in np.argsort(-scores, kind="stable")[: min(count, len(scores))])
        for scores, count in zip(neurons, counts, strict=True)
    ]
