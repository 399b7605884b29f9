"""Proof, stage by stage, that what runs is what was meant.

    teacher ─▶ smaller vocabulary ─▶ masked ─▶ cut ─▶ taught ─▶ exported ─▶ quantized
             exact to the bit          equal to rounding      equal       agreement, worst rows

Each function compares two forms of a network on real rows and gives an entry of `proof.stages` of
compression.json.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from modelwright.compress.gates import family_of, gated, masks
from modelwright.compress.vocabulary import old_ids, unknown_id
from modelwright.models.checkpoint import TrainedModel
from modelwright.tasks import Features, Row

ROUNDING = 1e-4
"""Most that logits in fp32 may differ by when the same sums are taken in another order."""


# -- vocabulary -------------------------------------------------------------------------------------
def vocabulary_exact(model: TrainedModel, cut: TrainedModel, rows: Sequence[Row]) -> dict[str, Any]:
    """Text whose pieces are all kept is read as before and answered with the same bits.

    Args:
        model: with the whole vocabulary.
        cut: the same network with a smaller one.
        rows: canonical rows; those with a piece that is gone, or unknown to both, are passed over.
    """
    before, after = _by_row(model, rows), _by_row(cut, rows)
    back = old_ids(model.encoder.tokenizer, cut.encoder.tokenizer)  # type: ignore[union-attr]
    unknown = unknown_id(model.encoder.tokenizer)  # type: ignore[union-attr]
    kept = set(back) - {unknown}
    chosen = [place for place, found in enumerate(before) if _all_in(found, kept)]
    same = [place for place in chosen if _mapped(after[place], back) == _ids(before[place])]
    ours = model.logits([feature for place in same for feature in before[place]])
    theirs = cut.logits([feature for place in same for feature in after[place]])
    apart = _apart(ours, theirs)
    return {
        "what": "vocabulary exact",
        "rows": len(chosen),
        "max_abs_diff": apart,
        "tolerance": 0.0,
        "holds": len(same) == len(chosen) and apart == 0.0,
        "note": f"{len(same)} of {len(chosen)} rows whose pieces are all kept are read as before",
    }


def coverage(model: TrainedModel, cut: TrainedModel, rows: Sequence[Row]) -> dict[str, Any]:
    """How many rows a smaller vocabulary cuts into the very same pieces.

    Returns:
        `held_out_rows`, `rows_unchanged` and `share`, as compression.json has them.
    """
    back = old_ids(model.encoder.tokenizer, cut.encoder.tokenizer)  # type: ignore[union-attr]
    pairs = zip(_by_row(model, rows), _by_row(cut, rows), strict=True)
    same = sum(_mapped(after, back) == _ids(before) for before, after in pairs)
    share = round(same / max(1, len(rows)), 6)
    return {"held_out_rows": len(rows), "rows_unchanged": same, "share": share}


def _by_row(model: TrainedModel, rows: Sequence[Row]) -> list[list[Features]]:
    """The features of each row; a long one may have several."""
    found: list[list[Features]] = [[] for _ in rows]
    inputs = [model.task.example(row) for row in rows]
    for place, feature in enumerate(model.task.encode(inputs, model.encoder)):
        found[feature.get("example", place)].append(feature)
    return found


def _ids(features: Sequence[Features]) -> list[list[int]]:
    return [list(feature["input_ids"]) for feature in features]


def _mapped(features: Sequence[Features], back: Sequence[int]) -> list[list[int]]:
    return [[back[number] for number in feature["input_ids"]] for feature in features]


def _all_in(features: Sequence[Features], kept: set[int | None]) -> bool:
    return all(kept.issuperset(feature["input_ids"]) for feature in features)


# -- cuts -------------------------------------------------------------------------------------------
def mask_equals_cut(
    model: TrainedModel,
    layers: Sequence[int] | None,
    heads: Sequence[Sequence[int]] | None,
    neurons: Sequence[Sequence[int]] | None,
    features: Sequence[Features],
) -> dict[str, Any]:
    """The network with layers passed over and gates closed answers as the network cut down.

    Args:
        model: before the cut.
        layers: that are kept; None for all.
        heads: kept in each of these layers; None for all.
        neurons: kept in each of these layers; None for all.
        features: of real rows.
    """
    cut = copy.deepcopy(model.network)
    family = family_of(cut.backbone)
    blocks = family.blocks(cut.backbone)
    layers = list(range(len(blocks))) if layers is None else list(layers)
    heads = heads or [range(blocks[layer].heads) for layer in layers]
    neurons = neurons or [range(blocks[layer].neurons) for layer in layers]
    with _masked(model.network, layers, heads, neurons):
        masked = model.logits(features)
    family.keep_layers(cut.backbone, layers)
    for layer, (some, others) in enumerate(zip(heads, neurons, strict=True)):
        family.keep_heads(cut.backbone, layer, some)
        family.keep_neurons(cut.backbone, layer, others)
    apart = _apart(masked, TrainedModel(model.task, model.encoder, cut).logits(features))
    return {
        "what": "mask equals cut",
        "rows": len(features),
        "max_abs_diff": apart,
        "tolerance": ROUNDING,
        "holds": apart <= ROUNDING,
        "note": f"{len(layers)} layers, {sum(map(len, heads))} heads, "
        f"{sum(map(len, neurons))} neurons",
    }


@contextmanager
def _masked(
    network: Any,
    layers: Sequence[int],
    heads: Sequence[Sequence[int]],
    neurons: Sequence[Sequence[int]],
) -> Iterator[None]:
    """Within the block, the network passes over layers, heads and neurons that are not named."""
    family = family_of(network.backbone)
    every, blocks = family.layers(network.backbone), family.blocks(network.backbone)
    some, others = dict(zip(layers, heads, strict=True)), dict(zip(layers, neurons, strict=True))
    head_masks = masks([some.get(i, ()) for i in range(len(every))], [b.heads for b in blocks])
    neuron_masks = masks(
        [others.get(i, ()) for i in range(len(every))], [b.neurons for b in blocks]
    )
    hooks = [
        layer.register_forward_hook(_pass_over)
        for place, layer in enumerate(every)
        if place not in some
    ]
    try:
        with gated(network, head_masks, neuron_masks):
            yield
    finally:
        for hook in hooks:
            hook.remove()


def _pass_over(_layer: Any, inputs: tuple[Any, ...], output: Any) -> Any:
    return (inputs[0], *output[1:]) if isinstance(output, tuple) else inputs[0]


def _apart(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> float:
    """The largest difference of two forms' logits."""
    pairs = zip(ours, theirs, strict=True)
    return max((float(np.abs(one - two).max()) for one, two in pairs), default=0.0)
