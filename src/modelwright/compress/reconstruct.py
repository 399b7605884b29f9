"""Output weights refitted after a cut, so that a layer says nearly what it said before.

Layer by layer, the inputs of an output matrix are those of the network as it is already cut, its
outputs are those that the uncut network gave, and ridge least squares finds the weights between
them. No labels and no steps of training are needed; some thousand tokens do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np
import torch

from modelwright.compress.gates import family_of
from modelwright.encoders.batches import batches_by_length
from modelwright.models.checkpoint import TrainedModel
from modelwright.tasks import Row

ROWS, TOKENS, BATCH_TOKENS = 512, 6144, 4096
RIDGE = 1e-2


Call: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]
"""Arguments of a layer by place and by name."""


class _Enough(Exception):
    """Raised in a network when the layer that is looked at has been reached."""


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
    pairs = [(part(own), part(other)) for own, other in zip(ours, theirs, strict=True)]
    pairs = [pair for pair in pairs if pair[0].in_features != pair[1].in_features]
    cut.network.eval()
    whole.network.eval()
    wanted = iter(_outputs(whole, [other for _, other in pairs], batches))
    changed = {id(own) for own, _ in pairs}
    layers = family_of(cut.network.backbone).layers(cut.network.backbone)
    calls = _calls(cut, layers[0], batches)
    for layer, block in zip(layers, ours, strict=True):
        if id(part(block)) in changed:
            _solve(part(block), _inputs(layer, part(block), calls, batches), next(wanted))
        calls = [_following(layer, call) for call in calls]


def _batches(model: TrainedModel, rows: Sequence[Row], seed: int) -> list[dict[str, torch.Tensor]]:
    rng = np.random.default_rng((seed, 4))
    chosen = sorted(rng.choice(len(rows), size=min(ROWS, len(rows)), replace=False))
    task = model.task
    features = task.encode([task.example(rows[int(i)]) for i in chosen], model.encoder)
    found, tokens = [], 0
    for index in batches_by_length(features, BATCH_TOKENS):
        arrays = model.collate([features[i] for i in index])
        found.append({name: torch.from_numpy(array) for name, array in arrays.items()})
        tokens += next(iter(arrays.values())).size if "input_ids" in arrays else 0
    kept = max(1, round(len(found) * min(1.0, TOKENS / max(1, tokens))))
    return found[:: max(1, len(found) // kept)][:kept]


def _calls(
    model: TrainedModel, layer: torch.nn.Module, batches: list[dict[str, torch.Tensor]]
) -> list[Call]:
    """How the first layer is called for each batch."""
    found: list[Call] = []

    def look(_module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        found.append((given, named))
        raise _Enough

    hook = layer.register_forward_pre_hook(look, with_kwargs=True)
    with torch.inference_mode():
        for batch in batches:
            with suppress(_Enough):
                model.network(**batch)
    hook.remove()
    return found


def _following(layer: torch.nn.Module, call: Call) -> Call:
    """How the next layer is called: the states come first."""
    given, named = call
    with torch.inference_mode():
        output = layer(*given, **named)
    states = output[0] if isinstance(output, tuple) else output
    return (states, *given[1:]), named


def _inputs(
    layer: torch.nn.Module,
    linear: torch.nn.Linear,
    calls: list[Call],
    batches: list[dict[str, torch.Tensor]],
) -> torch.Tensor:
    """What goes into a matrix of a layer at every token that counts: [N, width]."""
    found: list[torch.Tensor] = []

    def look(_module: Any, given: tuple[torch.Tensor, ...]) -> None:
        found.append(given[0])
        raise _Enough

    hook = linear.register_forward_pre_hook(look)
    with torch.inference_mode():
        for given, named in calls:
            with suppress(_Enough):
                layer(*given, **named)
    hook.remove()
    return _counting(found, batches)


def _outputs(
    model: TrainedModel, linears: list[torch.nn.Linear], batches: list[dict[str, torch.Tensor]]
) -> list[torch.Tensor]:
    """What comes out of each matrix at every token that counts: [N, width] each."""
    found: list[list[torch.Tensor]] = [[] for _ in linears]
    hooks = [
        linear.register_forward_hook(lambda _m, _i, output, seen=seen: seen.append(output))
        for linear, seen in zip(linears, found, strict=True)
    ]
    with torch.inference_mode():
        for batch in batches:
            model.network(**batch)
    for hook in hooks:
        hook.remove()
    return [_counting(seen, batches) for seen in found]


def _counting(found: list[torch.Tensor], batches: list[dict[str, torch.Tensor]]) -> torch.Tensor:
    """Rows of [B, T, width] tensors that are no padding."""
    kept = []
    for values, batch in zip(found, batches, strict=True):
        flat, mask = values.reshape(-1, values.shape[-1]), batch.get("attention_mask")
        kept.append(flat if mask is None else flat[mask.reshape(-1).bool()])
    return torch.cat(kept)


def _solve(linear: torch.nn.Linear, inputs: torch.Tensor, outputs: torch.Tensor) -> None:
    """Ridge regression towards the weights that are there, so that little data changes little."""
    mean_x, mean_y = inputs.mean(dim=0), outputs.mean(dim=0)
    x, y = inputs - mean_x, outputs - mean_y
    before = linear.weight.detach()
    gram = (x.T @ x).double()
    ridge = RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    change = torch.linalg.solve(gram + ridge, (x.T @ (y - x @ before.T)).double()).T
    with torch.no_grad():
        linear.weight += change.to(linear.weight.dtype)
        if linear.bias is not None:
            linear.bias.copy_(mean_y - linear.weight @ mean_x)
