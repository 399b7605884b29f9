"""Training examples varied as they are drawn, the same in every run with one seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from modelwright import plugs
from modelwright.recipe.schema import Part
from modelwright.tasks import Features
from modelwright.train.features import FeatureTable


class Augmented:
    """A feature table whose pixels are varied at every access.

    An access is a (row, visit) pair: the visit counts up through the run, so that a row differs
    from epoch to epoch and a resumed run goes on with the same variations.

    Args:
        table: the rows.
        parts: augmenters in order.
        seed: of the variations.
    """

    def __init__(self, table: FeatureTable, parts: list[Part], seed: int) -> None:
        self.table, self.seed = table, seed
        self.augmenters: list[Any] = []
        for part in parts:
            plug = plugs.load("augmenter", part.name)
            self.augmenters.append(plug.cls(plug.config(**part.options)))

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, place: tuple[int, int]) -> Features:
        row, visit = place
        features = self.table[row]
        rng = np.random.default_rng((self.seed, visit, row))
        pixels = features["pixels"]
        for augmenter in self.augmenters:
            pixels = augmenter.vary(pixels, rng)
        features["pixels"] = pixels
        return features
