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
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from modelwright import plugs
from modelwright.compress.gates import family_of, gated, masks
from modelwright.compress.size import attention_fused
from modelwright.compress.vocabulary import old_ids, unknown_id
from modelwright.encoders.batches import length_of, of_length
from modelwright.models.checkpoint import TrainedModel
from modelwright.tasks import Features, Row

if TYPE_CHECKING:
    from modelwright.compress.points import Step, Workshop
    from modelwright.compress.session import Part

ROUNDING = 1e-4
"""Most that logits in fp32 may differ by when the same sums are taken in another order."""
EXPORTED = 1e-3
"""The same for a network in another runtime."""
EXACT = "fp32"
CUTS = ("layers", "heads", "ffn")
ROWS, ROWS_ALONE, WORST = 500, 32, 5


def stages_of(
    workshop: Workshop, path: Sequence[Step], baseline: Part, chosen: Part
) -> dict[str, Any]:
    """Every stage of a path, proven on the certification rows.

    Args:
        workshop: makes the networks and forms along the path again, or finds them.
        path: of the chosen point; its last step writes the form.
        baseline: the uncompressed network's answers.
        chosen: the chosen form's answers.

    Returns:
        `stages`, `coverage` and `fusions` of compression.json's `proof`.
    """
    rows = baseline.rows[:ROWS]
    names = [step["pass"] for step in path]
    stages, read = [], None
    for place, name in enumerate(names):
        if name == "vocabulary":
            before, after = workshop.network(path[:place]), workshop.network(path[: place + 1])
            stages.append(vocabulary_exact(before, after, rows))
            read = coverage(before, after, baseline.rows)
    stages += [_cut_stage(workshop, path, first, last, rows) for first, last in _cuts(names)]
    network = workshop.network(path[:-1])
    if plugs.exists("pass", EXACT):
        exact = workshop.open([*path[:-1], {"pass": EXACT, "choice": {}}])
        stages.append(export_equals_torch(network, exact, _encoded(network, rows)))
        exact.engine.close()
    if names[-1] != EXACT:
        keep = bool(workshop.session.request.compress.proof_rows)
        stages.append(form_against_network(network, names[-1], chosen, keep_inputs=keep))
    fused = attention_fused(workshop.form(path).folder)
    layers = len(workshop.blocks(network))
    fusions = None if fused is None else {"attention": fused, "layers": layers}
    return {"stages": stages, "coverage": read, "fusions": fusions}


def _cuts(names: Sequence[str]) -> list[tuple[int, int]]:
    """First and last + 1 place of each run of cuts in a path."""
    found, place = [], 0
    for is_cut, run in groupby(names, key=lambda name: name in CUTS):
        length = len(list(run))
        if is_cut:
            found.append((place, place + length))
        place += length
    return found


def _cut_stage(
    workshop: Workshop, path: Sequence[Step], first: int, last: int, rows: Sequence[Row]
) -> dict[str, Any]:
    model = workshop.network(path[:first])
    kept = {step["pass"]: step["choice"]["kept"] for step in path[first:last]}
    features = _encoded(model, rows)
    return mask_equals_cut(model, kept.get("layers"), kept.get("heads"), kept.get("ffn"), features)


def _encoded(model: TrainedModel, rows: Sequence[Row]) -> list[Features]:
    return model.task.encode([model.task.example(row) for row in rows], model.encoder)


# -- vocabulary -------------------------------------------------------------------------------------
def vocabulary_exact(model: TrainedModel, cut: TrainedModel, rows: Sequence[Row]) -> dict[str, Any]:
    """Text whose pieces are all kept is read as before and answered with the same bits.

    Args:
        model: with the whole vocabulary.
        cut: the same network with a smaller one.
        rows: canonical rows; those with a piece that is gone, or unknown to both, are passed over.
            Where none is left nothing is shown, and so it does not hold.
    """
    before, after = _by_row(model, rows), _by_row(cut, rows)
    back = old_ids(model.encoder.tokenizer, cut.encoder.tokenizer)  # type: ignore[union-attr]
    unknown = unknown_id(model.encoder.tokenizer)  # type: ignore[union-attr]
    kept = {number for number in back if number != unknown}
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
        "holds": bool(chosen) and len(same) == len(chosen) and apart == 0.0,
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


def _all_in(features: Sequence[Features], kept: set[int]) -> bool:
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


# -- forms ------------------------------------------------------------------------------------------
def export_equals_torch(
    model: TrainedModel, exact: Any, features: Sequence[Features]
) -> dict[str, Any]:
    """The exact form in its engine answers as the network in torch: in batches, row by row, and at
    the shortest and longest inputs.

    Args:
        model: the network.
        exact: its fp32 form, opened.
        features: of real rows.
    """
    apart = _apart(model.logits(features), exact.logits(features))
    alone = [*features[:ROWS_ALONE], *_of_lengths(model, features[0])]
    for feature in alone:
        apart = max(apart, _apart(model.logits([feature]), exact.logits([feature])))
    lengths = [length_of(feature) for feature in (*features, *alone)]
    return {
        "what": "export equals torch",
        "rows": len(features),
        "max_abs_diff": apart,
        "tolerance": EXPORTED,
        "holds": apart <= EXPORTED,
        "note": f"in batches, and alone, of {min(lengths)} to {max(lengths)} tokens",
    }


def _of_lengths(model: TrainedModel, feature: Features) -> list[Features]:
    """A row brought to the shortest and the longest length; none for images."""
    longest = getattr(model.encoder.settings, "max_tokens", 0)
    return [of_length(feature, length) for length in (3, longest) if longest]


def form_against_network(
    model: TrainedModel, name: str, chosen: Part, *, keep_inputs: bool
) -> dict[str, Any]:
    """How often a form that rounds gives the network's answer, and the rows where it is farthest.

    Args:
        model: the network in fp32.
        name: of the numeric pass.
        chosen: the form's logits.
        keep_inputs: tell the worst rows themselves; else only their numbers.
    """
    task = model.task
    exact = model.logits(chosen.features)
    ours, theirs = (task.decode(logits, chosen.features) for logits in (chosen.logits, exact))
    apart = [float(np.abs(a - b).max()) for a, b in zip(chosen.logits, exact, strict=True)]
    worst = []
    for place in np.argsort(apart)[::-1][:WORST]:
        number = int(chosen.features[place].get("example", place))
        told = task.example(chosen.rows[number]) if keep_inputs else f"row {number}"
        same = task.agreement([theirs[number]], [ours[number]]) == 1.0
        worst.append(
            {
                "input": told if task.modality == "text" else f"row {number}",
                "max_abs_diff": round(apart[place], 5),
                "same_answer": same,
            }
        )
    return {
        "what": f"{name} against fp32",
        "rows": len(chosen.rows),
        "agreement": round(task.agreement(theirs, ours), 6),
        "max_abs_diff": round(max(apart, default=0.0), 5),
        "worst": worst,
    }


def _apart(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> float:
    """The largest difference of two forms' logits."""
    pairs = zip(ours, theirs, strict=True)
    return max((float(np.abs(one - two).max()) for one, two in pairs), default=0.0)
