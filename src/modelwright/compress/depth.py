"""Which layers a shallower network keeps, found by leaving out one after another.

At each step the layer goes without which the answers to some training rows move least. What a layer
does alone tells little about that, and even spacing less: on SST-2 four of six layers chosen like
this answered 4% of training rows otherwise than all six, evenly spaced ones 12% (docs/lab.md).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from modelwright.compress.gates import family_of
from modelwright.compress.teaching import Lesson
from modelwright.models.checkpoint import TrainedModel
from modelwright.tasks import Features, Row

LEAST_ROWS, MOST_ROWS = 48, 256
SECONDS = 40.0
"""For all steps; decides how many rows are looked at."""


def kept_layers(model: TrainedModel, rows: Sequence[Row], seed: int) -> tuple[tuple[int, ...], ...]:
    """The layers to keep, by their number: one layer, two, ... up to all of them.

    Args:
        model: its family tells its layers; it stays as it is.
        rows: training rows; a sample is looked at.
        seed: of the sample.
    """
    probe = TrainedModel(model.task, model.encoder, copy.deepcopy(model.network).eval())
    layers = family_of(probe.network.backbone).layers(probe.network.backbone)
    every, kept = list(layers), tuple(range(len(layers)))
    features = _sample(probe, rows, seed, forwards=len(every) * (len(every) + 1) // 2)
    distance = _distance(probe, features)
    found = [kept]
    while len(kept) > 1:
        moved: dict[tuple[int, ...], float] = {}
        for layer in kept:
            left = tuple(other for other in kept if other != layer)
            del layers[:]
            layers.extend(every[index] for index in left)
            moved[left] = distance()
        kept = min(moved, key=lambda left: moved[left])
        found.append(kept)
    return tuple(reversed(found))


def _sample(model: TrainedModel, rows: Sequence[Row], seed: int, forwards: int) -> list[Features]:
    """Features of as many rows as there is time for."""
    order = np.random.default_rng((seed, 4)).permutation(len(rows))[:MOST_ROWS]
    features = model.task.encode(
        [model.task.example(rows[int(place)]) for place in sorted(order)], model.encoder
    )
    started = time.perf_counter()
    model.logits(features[:LEAST_ROWS])
    each = (time.perf_counter() - started) / min(LEAST_ROWS, len(features))
    return features[: max(LEAST_ROWS, int(SECONDS / (forwards * max(each, 1e-6))))]


def _distance(model: TrainedModel, features: list[Features]) -> Callable[[], float]:
    """A function that tells how far the model's answers are from what they are now."""
    lesson = Lesson(model.network, model.task, ())
    before = _answers(model, features)
    return lambda: float(lesson.soft(_answers(model, features), before, None))


def _answers(model: TrainedModel, features: list[Features]) -> torch.Tensor:
    """Logits of rows, or of tokens, below each other."""
    return torch.from_numpy(np.concatenate([np.atleast_2d(one) for one in model.logits(features)]))
