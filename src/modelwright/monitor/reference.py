"""What a bundle keeps for monitoring: sketches of the rows that it was judged on, and no row.

    reference/sketches.json    counts of every signal; words and characters that training knew;
                               centres of training's vectors; how often answers were right by score

The variant that will answer makes them, since another one's scores and vectors differ a little.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelwright import plugs
from modelwright.engines._bundle import unit
from modelwright.errors import UserError
from modelwright.monitor.answers import score_of
from modelwright.monitor.reliability import reliability
from modelwright.monitor.sample import Known, Sample, text_of
from modelwright.monitor.signals import Signal
from modelwright.monitor.sketches import Categories, Ordered
from modelwright.runtime.files import read_json

FILE = "reference/sketches.json"
SCHEMA = 1
CENTRES, MOST_VECTORS = 64, 2_000
"""Centres at most, and rows whose vectors they are made of."""
LEAST_OF_CENTRE = 10


@dataclass(frozen=True)
class Reference:
    """A bundle's sketches, opened.

    Attributes:
        rows: that were sketched.
        variant: that answered them.
        known: of training.
        sketches: by signal; those of the signal's present version alone.
        reliability: see reliability.py; None where answers have no score or are neither right nor
            wrong.
    """

    rows: int
    variant: str
    known: Known
    sketches: dict[str, Ordered | Categories]
    reliability: dict[str, Any] | None


def signals(modality: str) -> dict[str, Signal]:
    """All signals that look at inputs of this kind."""
    found: dict[str, Signal] = {}
    for name in plugs.names("signal"):
        plug = plugs.load("signal", name)
        if plug.cls.modality in ("", modality):
            found[name] = plug.cls(plug.config())
    return found


def sketch(
    variant: Any,
    inputs: Sequence[Any],
    right: np.ndarray | None,
    training: Iterable[Any],
    seed: int = 0,
) -> dict[str, Any]:
    """What is written into a bundle.

    Args:
        variant: opened; it answers.
        inputs: rows that the model was not trained on, as callers send them.
        right: [N] whether it answers each of them right, where that can be said.
        training: canonical rows that it was trained on.
        seed: of the centres.
    """
    known = Known()
    chosen = _learnt(known, map(variant.task.example, training), seed)
    known.centres = _centres(vectors_of(variant, chosen), seed)
    answers = variant.predict(inputs)
    sample = Sample(inputs, answers, known, vectors_of(variant, inputs), range(len(inputs)))
    found = {}
    for name, signal in signals(variant.task.modality).items():
        counted = signal.sketch(signal.values(sample))
        if counted.rows:
            version = plugs.load("signal", name).version
            found[name] = {"version": version, "rows": counted.rows, **counted.as_dict()}
    return {
        "schema": SCHEMA,
        "rows": len(inputs),
        "signals": found,
        "known": known.as_dict(),
        "reliability": reliability(
            np.array([score_of(answer) for answer in answers]), right, sample.nearest[1]
        ),
    }


def _learnt(known: Known, training: Iterable[Any], seed: int) -> list[Any]:
    """Learn every row's words; a fair choice of the rows, in one pass over them."""
    draw, chosen = random.Random(seed), list[Any]()

    def texts() -> Iterator[str]:
        for number, item in enumerate(training):
            if len(chosen) < MOST_VECTORS:
                chosen.append(item)
            elif (place := draw.randrange(number + 1)) < MOST_VECTORS:
                chosen[place] = item
            if (text := text_of(item)) is not None:
                yield text

    known.learn(texts())
    return chosen


def vectors_of(variant: Any, inputs: Sequence[Any]) -> np.ndarray | None:
    """[N, D] of length 1; None where the variant gives none."""
    if not variant.dimensions or not len(inputs):
        return None
    return unit(variant.vectors(variant.encode(inputs)))


def _centres(vectors: np.ndarray | None, seed: int) -> np.ndarray:
    """[K, D] of length 1, by k-means."""
    if vectors is None or len(vectors) < 2 * LEAST_OF_CENTRE:
        return np.zeros((0, 0), dtype=np.float32)
    from sklearn.cluster import KMeans

    count = min(CENTRES, len(vectors) // LEAST_OF_CENTRE)
    found = KMeans(count, n_init="auto", random_state=seed).fit(vectors).cluster_centers_
    return unit(found).astype(np.float32)


def open_reference(folder: Path, modality: str) -> Reference:
    """The sketches in a bundle.

    Raises:
        UserError: MW-612 where the bundle has none, or they cannot be read.
    """
    path = folder / FILE
    try:
        told = read_json(path)
        if told["schema"] != SCHEMA:
            raise ValueError(f"schema {told['schema']}")
        known, sketches = Known.restored(told["known"]), {}
        for name, signal in signals(modality).items():
            kept = told["signals"].get(name)
            if kept and kept["version"] == plugs.load("signal", name).version:
                sketches[name] = signal.restored(kept)
        return Reference(
            int(told["rows"]), str(told.get("variant", "")), known, sketches, told["reliability"]
        )
    except FileNotFoundError:
        seen = f"{folder} holds no sketches of what its rows were like"
    except (OSError, ValueError, TypeError, KeyError, AttributeError, zlib.error) as error:
        seen = f"{path} cannot be read: {error}"
    raise UserError(
        "MW-612",
        seen,
        expected=f"{FILE}, which this release puts into every bundle",
        fix="package the model again with this release: mw run RECIPE",
    )
