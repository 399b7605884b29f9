"""How much each head and neuron matters, from one backward pass over some training rows.

Each row gets gates of its own, so that one pass gives every row's gradients. Their mean square is
the diagonal of the Fisher information of the gates: half of it is what the loss is expected to rise
by when a gate closes (Kwon et al. 2022, arXiv 2204.09656). Squares are taken by row, so that the
score does not depend on the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch

from modelwright.compress.gates import family_of, gated, masks
from modelwright.encoders.batches import batches_by_length
from modelwright.models.checkpoint import TrainedModel
from modelwright.tasks import LossSettings, Row
from modelwright.train.features import collate_targets

ROWS = 768
TOKENS = 2048


@dataclass(frozen=True)
class Importance:
    """Expected rise of the loss by head and by neuron.

    Attributes:
        heads: [L, H].
        neurons: for each layer [F].
        layers: those to keep, by their number from one on (`depth.kept_layers`); empty for
            evenly spaced ones.
    """

    heads: np.ndarray
    neurons: list[np.ndarray]
    layers: tuple[tuple[int, ...], ...] = ()

    def only(self, layers: Sequence[int]) -> Importance:
        """That of some layers."""
        return Importance(self.heads[list(layers)], [self.neurons[layer] for layer in layers])


Kept: TypeAlias = tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]]
"""Heads and neurons that are kept in each layer."""


def importance(
    model: TrainedModel, rows: Sequence[Row], seed: int, kept: Kept | None = None
) -> Importance:
    """Score the heads and neurons of a model whose layers have equally many heads.

    Args:
        model: its family has blocks.
        rows: training rows; a sample of `ROWS` is looked at.
        seed: of the sample.
        kept: score the network without the other heads and neurons, whose own scores are 0.
    """
    blocks = family_of(model.network.backbone).blocks(model.network.backbone)
    heads = [np.zeros(block.heads) for block in blocks]
    neurons = [np.zeros(block.neurons) for block in blocks]
    features, count = _features(model, rows, seed), 0
    closed = _closed(blocks, kept)
    was_training = model.network.training
    model.network.eval()
    for index in batches_by_length(features, TOKENS):
        batch = [features[i] for i in index]
        gates = _gates(blocks, len(batch))
        _backward(model, batch, gates, closed)
        for layer, (head, neuron) in enumerate(zip(*gates, strict=True)):
            heads[layer] += head.grad.double().square().sum(dim=0).numpy()  # type: ignore[union-attr]
            neurons[layer] += neuron.grad.double().square().sum(dim=0).numpy()  # type: ignore[union-attr]
        count += len(batch)
    model.network.train(was_training)
    model.network.zero_grad(set_to_none=True)
    scale = 0.5 / max(1, count)
    return Importance(np.stack(heads) * scale, [each * scale for each in neurons])


def _features(model: TrainedModel, rows: Sequence[Row], seed: int) -> list[dict[str, Any]]:
    """Encoded sample with targets."""
    rng = np.random.default_rng((seed, 3))
    chosen = sorted(rng.choice(len(rows), size=min(ROWS, len(rows)), replace=False))
    sample = [rows[int(i)] for i in chosen]
    task = model.task
    features = task.encode([task.example(row) for row in sample], model.encoder)
    for place, feature in enumerate(features):
        feature["targets"] = task.target(sample[feature.get("example", place)], feature)
    return features


def _closed(
    blocks: Sequence[Any], kept: Kept | None
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Masks of what is kept."""
    sizes = [block.heads for block in blocks], [block.neurons for block in blocks]
    heads, neurons = kept or ([range(n) for n in sizes[0]], [range(n) for n in sizes[1]])
    return masks(heads, sizes[0]), masks(neurons, sizes[1])


def _gates(blocks: Sequence[Any], rows: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    heads = [torch.ones(rows, block.heads, requires_grad=True) for block in blocks]
    neurons = [torch.ones(rows, block.neurons, requires_grad=True) for block in blocks]
    return heads, neurons


def _backward(
    model: TrainedModel,
    batch: list[dict[str, Any]],
    gates: tuple[list[torch.Tensor], list[torch.Tensor]],
    closed: tuple[list[torch.Tensor], list[torch.Tensor]],
) -> None:
    """Gradients of the sum of the rows' losses with respect to their gates."""
    arrays = model.collate(batch)
    width = next(iter(arrays.values())).shape[1]
    targets = torch.from_numpy(collate_targets(batch, width))
    inputs = {name: torch.from_numpy(array) for name, array in arrays.items()}
    open_heads, open_neurons = (
        [gate * mask for gate, mask in zip(*pair, strict=True)]
        for pair in zip(gates, closed, strict=True)
    )
    with gated(model.network, open_heads, open_neurons):
        logits = model.network(**inputs)
        loss = model.task.loss(logits, targets, LossSettings()) * len(batch)
    every = [*gates[0], *gates[1]]
    for gate, gradient in zip(every, torch.autograd.grad(loss, every), strict=True):
        gate.grad = gradient
