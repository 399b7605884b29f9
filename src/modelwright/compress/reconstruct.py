"""Output weights refitted after a cut, so that a layer says nearly what it said before.

Layer by layer, the inputs of an output matrix are those of the network as it is already cut, and
what is wanted is that its sum with the stream beside it is that of the uncut network: so a layer
also makes up for what the layers before it changed. Ridge least squares finds the weights. No
labels and no steps of training are needed; some thousand tokens do.
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
    cut.network.eval()
    whole.network.eval()
    own = family_of(cut.network.backbone).layers(cut.network.backbone)
    other = family_of(whole.network.backbone).layers(whole.network.backbone)
    calls, wanted = _calls(cut, own[0], batches), _calls(whole, other[0], batches)
    for layer, block, model, its in zip(own, ours, other, theirs, strict=True):
        linear = part(block)
        if linear.in_features != part(its).in_features:
            given, _, beside = _seen(layer, linear, calls, batches)
            _, said, stream = _seen(model, part(its), wanted, batches)
            _solve(linear, given, said + stream - beside)
        calls = [_following(layer, call) for call in calls]
        wanted = [_following(model, call) for call in wanted]


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
    return (_states(output), *given[1:]), named


def _seen(
    layer: torch.nn.Module,
    linear: torch.nn.Linear,
    calls: list[Call],
    batches: list[dict[str, torch.Tensor]],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What goes into a matrix of a layer, what comes out, and what that is added to, at every token
    that counts: [N, width] each.

    The sum is what the next norm of the layer is given; without one, what the layer gives.
    """
    inputs: list[torch.Tensor] = []
    outputs: list[torch.Tensor] = []
    sums: list[torch.Tensor] = []

    def at_matrix(_module: Any, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        inputs.append(given[0])
        outputs.append(output)

    def at_norm(_module: Any, given: tuple[torch.Tensor, ...]) -> None:
        if len(outputs) > len(sums):
            sums.append(given[0])
            raise _Enough

    norms = [module for module in layer.modules() if isinstance(module, torch.nn.LayerNorm)]
    hooks = [linear.register_forward_hook(at_matrix)]
    hooks += [norm.register_forward_pre_hook(at_norm) for norm in norms]
    with torch.inference_mode():
        for given, named in calls:
            with suppress(_Enough):
                sums.append(_states(layer(*given, **named)))
    for hook in hooks:
        hook.remove()
    given, said, total = (_counting(each, batches) for each in (inputs, outputs, sums))
    return given, said, total - said


def _states(output: Any) -> torch.Tensor:
    """The hidden states among what a layer gives."""
    return output[0] if isinstance(output, tuple) else output


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
