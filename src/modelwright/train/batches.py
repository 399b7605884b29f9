"""Batches of like length under a row and a token budget, the same in every run with one seed.

Each epoch is cut into pools of many batches; a pool is sorted by length and cut, then all batches
are shuffled. So a batch has hardly any padding, and its rows still differ from epoch to epoch.
A run is one sequence of batches over all epochs, which makes resuming a matter of skipping.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

POOL_BATCHES = 50


class LengthBatches:
    """All batches of a training run, in order (a torch batch sampler).

    Args:
        lengths: tokens of every row.
        rows: most rows a batch.
        tokens: most tokens a batch, padding included; a longer row stands alone.
        epochs: passes over the rows; a fraction ends within the last one.
        seed: decides every shuffle.
    """

    def __init__(
        self, lengths: np.ndarray, rows: int, tokens: int, epochs: float, seed: int
    ) -> None:
        self.lengths, self.rows, self.tokens, self.seed = lengths, rows, tokens, seed
        whole = int(epochs)
        self.steps_by_epoch = [len(self._epoch(epoch)) for epoch in range(whole)]
        if epochs > whole:
            self.steps_by_epoch.append(max(1, round(len(self._epoch(whole)) * (epochs - whole))))

    @property
    def ends(self) -> list[int]:
        """The step at which each epoch ends."""
        return list(np.cumsum(self.steps_by_epoch))

    def __len__(self) -> int:
        return sum(self.steps_by_epoch)

    def __iter__(self) -> Iterator[list[int]]:
        for epoch, steps in enumerate(self.steps_by_epoch):
            yield from self._epoch(epoch)[:steps]

    def _epoch(self, epoch: int) -> list[list[int]]:
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(len(self.lengths))
        pool = self.rows * POOL_BATCHES
        batches: list[list[int]] = []
        for start in range(0, len(order), pool):
            part = order[start : start + pool]
            part = part[np.argsort(self.lengths[part], kind="stable")]
            batches.extend(self._cut(part))
        return [batches[i] for i in rng.permutation(len(batches))]

    def _cut(self, part: np.ndarray) -> Iterator[list[int]]:
        """Cut rows sorted by rising length so that rows x longest stays within the budget."""
        lengths = self.lengths[part]
        start = 0
        for end in range(1, len(part) + 1):
            full = end - start == self.rows
            if end == len(part) or full or (end - start + 1) * lengths[end] > self.tokens:
                yield part[start:end].tolist()
                start = end


class Visits:
    """The same batches with each row as (row, step), for what must differ from epoch to epoch."""

    def __init__(self, batches: LengthBatches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step, batch in enumerate(self.batches):
            yield [(row, step) for row in batch]
