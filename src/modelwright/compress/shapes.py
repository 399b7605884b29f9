"""Smaller architectures and what they would cost, before any of them is trained.

An architecture is a choice of layers and a share of the cost that their heads and neurons may have
together. How the share is spent is left to the importance of each head and neuron. optuna searches
(layers, share) for the front of two aims: little importance lost, and low cost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelwright.compress.importance import Importance
from modelwright.compress.masks import search_masks
from modelwright.runtime.libraries import require

TRIALS = 120
SHARES = (1.0, 0.75, 0.6, 0.5, 0.4)
MULTIPLE = 32
HARDLY = 0.04
"""Share of the cost that costs are not measured better than."""
LEAST_SHARE = 0.05
"""Of a layer, that its heads and its neurons each cost at least: noise may say less than nothing."""
WIDTH, DEPTH = 1.5, 0.8
"""How much importance lost within the kept layers counts, and layers that are left out.

The latter by the square of their share. Layers come back in lessons far better than
their importance tells: with it, 2 of 6 layers rank between 3 of 6 at half and at a third of their
width, as they did when all were taught alike (docs/lab.md).
"""


@dataclass(frozen=True)
class Costs:
    """Milliseconds (or bytes) of an encoder by its parts, measured in the form that will run.

    All layers of a backbone are alike, so one table serves them all.

    Attributes:
        fixed: of everything but the layers.
        layer: of a layer without heads and neurons.
        heads: of 0, 1, ... heads in one layer.
        neurons: of 0, 1, ... groups of `MULTIPLE` neurons in one layer.
    """

    fixed: float
    layer: float
    heads: tuple[float, ...]
    neurons: tuple[float, ...]

    def of(self, heads: Sequence[int], neurons: Sequence[int]) -> float:
        """Cost of layers with these numbers of heads and neurons."""
        inner = sum(self.heads[count] for count in heads)
        inner += sum(self.neurons[groups_of(count)] for count in neurons)
        return self.fixed + self.layer * len(heads) + inner


def groups_of(neurons: int) -> int:
    """Groups of `MULTIPLE` that hold so many neurons."""
    return math.ceil(neurons / MULTIPLE)


def table(measured: Mapping[int, float], most: int, ceiling: float) -> tuple[float, ...]:
    """Costs of 0, 1, ... `most` parts of one layer, between and below measured ones by straight
    lines.

    Args:
        measured: cost by number of parts; any constant may be in all of them. With a single one
            nothing can be told, and the parts cost nothing.
        most: parts of a whole layer, which is among the measured.
        ceiling: most that a whole layer's parts may cost, whatever noise says.
    """
    known = sorted(measured)
    if len(known) < 2:
        return (0.0,) * (most + 1)
    costs = np.maximum.accumulate([measured[count] for count in known])
    (first, low), (second, high) = [*zip(known, costs, strict=True)][:2]
    start = low - first * (high - low) / (second - first)
    line = np.interp(range(most + 1), [0, *known], [start, *costs]) - start
    least = LEAST_SHARE * ceiling * np.arange(most + 1) / most
    line = np.maximum(line, least)
    return tuple(float(cost) for cost in line * min(1.0, ceiling / line[-1]))


@dataclass(frozen=True)
class Shape:
    """One architecture.

    Attributes:
        layers: of the teacher, in order.
        heads: kept in each of them.
        neurons: kept in each of them.
        cost: predicted.
        lost: share of the kept layers' importance that is gone, and what missing layers count.
    """

    layers: tuple[int, ...]
    heads: tuple[tuple[int, ...], ...]
    neurons: tuple[tuple[int, ...], ...]
    cost: float
    lost: float

    @classmethod
    def restored(cls, values: Mapping[str, Any]) -> Shape:
        """From what `asdict` and JSON made of it."""
        lists = {name: tuple(map(tuple, values[name])) for name in ("heads", "neurons")}
        return cls(**{**values, **lists, "layers": tuple(values["layers"])})

    @property
    def label(self) -> str:
        """For tables."""
        heads, neurons = sum(map(len, self.heads)), sum(map(len, self.neurons))
        layers = len(self.layers)
        return f"{layers} layer{'s' if layers != 1 else ''}, {heads} heads, {neurons:,} neurons"


def spread_layers(count: int, of: int) -> tuple[int, ...]:
    """`count` layers evenly over `of`, the last one among them (DistilBERT's and TinyBERT's way)."""
    return tuple(round((place + 1) * of / count) - 1 for place in range(count))


def front(importance: Importance, costs: Costs, cuts: frozenset[str], seed: int) -> list[Shape]:
    """Architectures that no other beats in cost and importance, from mild to strong.

    Args:
        importance: of the teacher's heads and neurons.
        costs: of its parts.
        cuts: which of layers, heads, ffn may be cut.
        seed: of the search.
    """
    optuna: Any = require("optuna", "compress")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    depth = len(importance.neurons)
    sampler = optuna.samplers.NSGAIISampler(seed=seed, population_size=24)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    found: dict[tuple[int, float], Shape] = {}

    def judge(trial: Any) -> tuple[float, float]:
        count = trial.suggest_int("layers", 1 if "layers" in cuts else depth, depth)
        width = {"heads", "ffn"} & cuts
        share = trial.suggest_categorical("share", SHARES if width else (1.0,))
        if (count, share) not in found:
            found[count, share] = shaped(importance, costs, cuts, count, share)
        shape = found[count, share]
        return shape.cost, shape.lost

    study.optimize(judge, n_trials=TRIALS)
    best = {(trial.params["layers"], trial.params["share"]) for trial in study.best_trials}
    return thinned(sorted((found[key] for key in best), key=lambda shape: -shape.cost))


def thinned(shapes: Sequence[Shape]) -> list[Shape]:
    """Without shapes that lose more than the one before them and are hardly cheaper."""
    kept: list[Shape] = []
    for shape in shapes:
        if not kept or shape.cost < (1 - HARDLY) * kept[-1].cost:
            kept.append(shape)
    return kept


def shaped(
    importance: Importance, costs: Costs, cuts: frozenset[str], count: int, share: float
) -> Shape:
    """The best use of `count` layers whose heads and neurons cost `share` of what they did."""
    depth = len(importance.neurons)
    layers = importance.layers[count - 1] if importance.layers else spread_layers(count, depth)
    part = importance.only(layers)
    heads = tuple(tuple(range(part.heads.shape[1])) for _ in layers)
    neurons = tuple(tuple(range(len(each))) for each in part.neurons)
    if share < 1.0:
        head_costs = costs.heads if "heads" in cuts else (0.0,) * len(costs.heads)
        neuron_costs = costs.neurons if "ffn" in cuts else (0.0,) * len(costs.neurons)
        budget = share * count * (head_costs[-1] + neuron_costs[-1])
        found = search_masks(part, head_costs, neuron_costs, budget, MULTIPLE)
        heads = _kept(found[0]) if "heads" in cuts else heads
        neurons = _kept(found[1]) if "ffn" in cuts else neurons
    kept = sum(float(part.heads[i][list(h)].sum()) for i, h in enumerate(heads))
    kept += sum(float(np.asarray(part.neurons[i])[list(n)].sum()) for i, n in enumerate(neurons))
    total = float(part.heads.sum()) + sum(float(np.sum(n)) for n in part.neurons)
    cost = costs.of([len(h) for h in heads], [len(n) for n in neurons])
    lost = WIDTH * (1.0 - kept / max(total, 1e-30)) + DEPTH * (1 - count / depth) ** 2
    return Shape(layers, heads, neurons, cost, lost)


def _kept(lists: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(i) for i in each) for each in lists)
