"""Training with the embeddings of only those pieces that the data holds.

A piece that never occurs gets no gradient, and embeddings have no weight decay here, so AdamW
leaves its vector as it is: training the small table and putting the vectors back gives the same
weights as training the whole table. On BANKING77 the table shrinks from 30,522 to 2,600 rows and
the optimizer's work with it (docs/lab.md).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


class CompactVocabulary:
    """Swaps a backbone's input embeddings for the used rows, and back.

    Args:
        backbone: the backbone, changed in place.
        used: distinct token ids of all examples, sorted.
    """

    def __init__(self, backbone: nn.Module, used: np.ndarray) -> None:
        self.backbone = backbone
        self.whole: nn.Embedding = backbone.get_input_embeddings()  # type: ignore[operator]
        self.used = torch.from_numpy(used.astype(np.int64))
        self.table = np.zeros(self.whole.num_embeddings, dtype=np.int32)
        self.table[used] = np.arange(len(used), dtype=np.int32)

    def shrink(self) -> None:
        """Put the small table in."""
        small = nn.Embedding(len(self.used), self.whole.embedding_dim)
        with torch.no_grad():
            small.weight.copy_(self.whole.weight[self.used])
        self.backbone.set_input_embeddings(small)  # type: ignore[operator]

    def expand(self) -> None:
        """Put the whole table back, with the trained rows in it."""
        small = self.backbone.get_input_embeddings()  # type: ignore[operator]
        with torch.no_grad():
            self.whole.weight[self.used] = small.weight
        self.backbone.set_input_embeddings(self.whole)  # type: ignore[operator]
