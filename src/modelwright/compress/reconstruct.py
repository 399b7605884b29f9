"""Output weights refitted after a cut, so that a layer says nearly what it said before.

Layer by layer, the inputs of an output matrix are those of the network as it is already cut, its
outputs are those that the uncut network gave, and ridge least squares finds the weights between
them. No labels and no steps of training are needed; some thousand tokens do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from modelwright.compress.gates import family_of
from modelwright.encoders.batches import batches_by_length
from modelwright.models.checkpoint import TrainedModel
from modelwright.tasks import Row

ROWS, TOKENS = 512, 4096
RIDGE = 1e-2


def refit(
    cut: TrainedModel,
    whole: TrainedModel,
    rows: Sequence[Row],
    part: Callable[[Any], torch.nn.Linear],
    seed: int,
) -> None:
    """Refit one matrix of each layer of `cut`, in place.

    Args:
        cut: has as many layers as `whole`.
        whole: before the cut.
        rows: training rows; a sample is looked at.
        part: from a block to its matrix (`output` or `down`).
        seed: of the sample.
    """
    batches = _batches(cut, rows, seed)
    ours = family_of(cut.network.backbone).blocks(cut.network.backbone)
    theirs = family_of(whole.network.backbone).blocks(whole.network.backbone)
    cut.network.eval()
    whole.network.eval()
    for own, other in zip(ours, theirs, strict=True):
        if part(own).in_features == part(other).in_features:
            continue
        inputs = _seen(cut, part(own), batches, inputs=True)
        outputs = _seen(whole, part(other), batches, inputs=False)
        _solve(part(own), inputs, outputs)


def _batches(model: TrainedModel, rows: Sequence[Row], seed: int) -> list[dict[str, torch.Tensor]]:
    rng = np.random.default_rng((seed, 4))
    chosen = sorted(rng.choice(len(rows), size=min(ROWS, len(rows)), replace=False))
    task = model.task
    features = task.encode([task.example(rows[int(i)]) for i in chosen], model.encoder)
    return [
        {
            name: torch.from_numpy(array)
            for name, array in model.collate([features[i] for i in index]).items()
        }
        for index in batches_by_length(features, TOKENS)
    ]


def _seen(
    model: TrainedModel,
    linear: torch.nn.Linear,
    batches: list[dict[str, torch.Tensor]],
    *,
    inputs: bool,
) -> torch.Tensor:
    """What goes into a matrix, or comes out of it, at every token that counts: [N, width]."""
    found: list[torch.Tensor] = []

    def look(_module: Any, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        found.append(given[0] if inputs else output)

    hook = linear.register_forward_hook(look)
    kept: list[torch.Tensor] = []
    with torch.inference_mode():
        for batch in batches:
            found.clear()
            model.network(**batch)
            values = found[0].reshape(-1, found[0].shape[-1])
            mask = batch.get("attention_mask")
            kept.append(values if mask is None else values[mask.reshape(-1).bool()])
    hook.remove()
    return torch.cat(kept)


def _solve(linear: torch.nn.Linear, inputs: torch.Tensor, outputs: torch.Tensor) -> None:
    """Ridge regression towards the weights that are there, so that little data changes little."""
    x, y = inputs.double(), outputs.double()
    mean_x, mean_y = x.mean(dim=0), y.mean(dim=0)
    x, y = x - mean_x, y - mean_y
    before = linear.weight.double()
    gram = x.T @ x
    ridge = RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    change = torch.linalg.solve(gram + ridge, x.T @ (y - x @ before.T)).T
    with torch.no_grad():
        linear.weight += change.to(linear.weight.dtype)
        if linear.bias is not None:
            linear.bias.copy_((mean_y - linear.weight.double() @ mean_x).to(linear.bias.dtype))
