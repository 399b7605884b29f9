"""A peer of bench/serving.py: BentoML with its adaptive batching on."""

from __future__ import annotations

from typing import Any

import bentoml
from _texts import Classifier


@bentoml.service(workers=1, traffic={"timeout": 30})  # type: ignore[misc]
class Texts:
    """One worker: two would hold the model twice for the same cores."""

    def __init__(self) -> None:
        self.model = Classifier()

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=1_000)  # type: ignore[misc]
    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        return self.model(texts)
