"""Settles inputs that occur with different targets.

The policy says what becomes of them: `report` keeps all rows and counts them in the audit (which is
done anyway); `majority` keeps the rows with the most frequent target, and none where two are
equally frequent; `first` keeps the rows with the target that came first; `drop-all` keeps none.
Several labels a row are no conflict in multi-label data.

    data: {clean: [normalize, exact-duplicates, {label-conflicts: {policy: majority}}]}
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.data.cleaners import Cleaner, Drop, Surroundings

if TYPE_CHECKING:
    import numpy as np

    from modelwright.data.chunks import Chunk
    from modelwright.data.rowstore import RowStore

VERSION = 1


class Config(BaseModel):
    """What becomes of conflicting rows."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    policy: Literal["report", "majority", "first", "drop-all"] = Field(
        "report", description="Which rows of a conflict are kept: all, most frequent, first, none."
    )


@final
class LabelConflicts(Cleaner):
    """See the module."""

    modalities: ClassVar[tuple[str, ...]] = ("text", "image")
    held_out: ClassVar[bool] = False
    config: Config

    def __init__(self, config: Config, around: Surroundings) -> None:
        super().__init__(config, around)
        self._seen: list[int] = []
        self._notes: dict[str, Any] = {"texts": 0, "rows": 0}

    @property
    def decides_late(self) -> bool:
        return self.config.policy != "report"

    def see(self, chunk: Chunk) -> None:
        """Rows of held-out files are not shown, so what is seen is what may be dropped."""
        if self.decides_late:
            self._seen.append(chunk.indices[0])
            self._seen.append(chunk.indices[-1] + 1)

    def finish(self, rows: RowStore) -> Iterator[Drop]:
        from modelwright.data.conflicts import conflicting

        if self.around.kind.multi_label or not self._seen:
            return
        groups = conflicting(rows, rows.alive & self._shown(rows))
        self._notes = {"texts": len(groups), "rows": int(sum(len(group) for group in groups))}
        for group in groups:
            targets = rows.target_keys[group]
            kept = self._kept(targets)
            for index, target in zip(group.tolist(), targets.tolist(), strict=True):
                if target != kept:
                    others = [at for at in group.tolist() if rows.target_keys[at] != target]
                    detail = f"another label in {rows.where(others[0])}"
                    yield Drop(index, "label-conflict", detail)

    def _shown(self, rows: RowStore) -> np.ndarray:
        import numpy as np

        shown = np.zeros(len(rows), bool)
        for start, end in zip(self._seen[::2], self._seen[1::2], strict=True):
            shown[start:end] = True
        return shown

    def _kept(self, targets: np.ndarray) -> int | None:
        """The target to keep, or None for none."""
        import numpy as np

        if self.config.policy == "drop-all":
            return None
        if self.config.policy == "first":
            return int(targets[0])
        values, counts = np.unique(targets, return_counts=True)
        most = values[counts == counts.max()]
        return int(most[0]) if len(most) == 1 else None

    def notes(self) -> dict[str, Any]:
        return self._notes
