"""How good, how sure, how fast: a trained model and the rows it never saw, to a Report.

    in:  a model, a Dataset        out: report.json

    rows ─▶ task.encode ─▶ model.logits ─▶ task.evidence ─▶ metrics ─┬▶ suites ─▶ report
                                                                     └▶ limits ─▶ MW-502

The model is only what `Model` says, so that a trained checkpoint and a packaged variant are judged
by the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    from modelwright.evaluate.stage import EvaluateRequest
    from modelwright.tasks import Features, Task

__all__ = ["Model", "run"]


class Model(Protocol):
    """What evaluation asks of a model: its task, its encoder and its raw answers."""

    @property
    def task(self) -> Task:
        """The task with its learnt labels."""
        ...

    @property
    def encoder(self) -> Any:
        """The TextEncoder or ImageEncoder that trained."""
        ...

    def logits(self, features: Sequence[Features]) -> Sequence[np.ndarray]:
        """One array a feature, in order: [C], or [T, C] for token tasks."""
        ...


def run(request: EvaluateRequest) -> dict[str, Any]:
    """Run the stage; see `modelwright.evaluate.stage.run`."""
    from modelwright.evaluate import stage

    return stage.run(request)
