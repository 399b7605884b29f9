"""One file per pass: a step that makes a model smaller or faster.

A structural pass gives a smaller network; a numeric pass writes the network in a packaged form.
A pass never changes what it is given: it returns a new piece. A path of (pass, choice) pairs says
all that was done to the teacher, and can be replayed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright.formats import Draft
from modelwright.tasks import Row

if TYPE_CHECKING:
    from modelwright.models.checkpoint import TrainedModel
    from modelwright.train.settings import Settings


@dataclass(frozen=True)
class Form:
    """A packaged form that a numeric pass wrote.

    Attributes:
        folder: the variant's folder, self-contained but for an encoder equal to the bundle's.
        draft: its engine, precision and claims.
    """

    folder: Path
    draft: Draft


@dataclass(frozen=True)
class Piece:
    """What passes hand each other.

    Attributes:
        model: the network in fp32 with its encoder and task.
        form: its packaged form, after a numeric pass.
        facts: what the last pass has to say, as JSON.
    """

    model: TrainedModel
    form: Form | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Material:
    """What passes may look at; never the test rows.

    Attributes:
        teacher: the uncompressed model.
        rows: canonical training rows.
        folder: scratch that survives a kill.
        seed: of everything random.
        settings: training settings of the teacher, or what would be derived for it.
        tuning: canonical rows that candidates are scored on.
        unlabelled: further inputs, as users send them.
        deadline: `time.monotonic()` after which a lesson begins no further epoch.
    """

    teacher: TrainedModel
    rows: Sequence[Row]
    folder: Path
    seed: int
    settings: Settings
    tuning: Sequence[Row] = ()
    unlabelled: Sequence[Any] = ()
    deadline: float = math.inf


class Pass(ABC):
    """The interface of a pass plug.

    Args:
        config: the plug's `Config`.
    """

    group: ClassVar[str]
    """The name in `compress.passes` that switches it on."""
    order: ClassVar[int]
    """Its place in a path: vocabulary 10, layers 20, heads 30, ffn 40, distil 50, numeric 90."""
    writes_form: ClassVar[bool] = False

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def misfit(self, model: TrainedModel) -> str:
        """Why this model cannot take the pass, or nothing."""

    @abstractmethod
    def apply(self, piece: Piece, choice: Mapping[str, Any], material: Material) -> Piece:
        """The piece after the pass; `choice` is JSON and with the seed decides everything."""


INTERFACE = Pass
