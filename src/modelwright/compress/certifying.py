"""The certification rows are opened: points are tested in their order, until one fails."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.compress.choosing import ALPHA
from modelwright.compress.latency import again, interleaved, percentiles, speed_up
from modelwright.compress.points import Point, Workshop
from modelwright.compress.session import Part, Session
from modelwright.metrics.noninferiority import Drop, noninferiority
from modelwright.runtime.progress import say

PROOF_RUNS = 1_000
PROOF_SECONDS = 60.0


@dataclass
class Certified:
    """What the tests said.

    Attributes:
        passed: the points that hold their claim, in the order of the tests.
        order: every test, in order: `{"point", "bound_points", "passed"}`.
        baseline: the teacher on the certification rows.
    """

    passed: list[Point]
    order: list[dict[str, Any]]
    baseline: Part


def certify(workshop: Workshop, points: Sequence[Point]) -> Certified:
    """Test each point's drop; the first failure ends the tests.

    Args:
        points: safest first, ordered without a look at the certification rows.
    """
    session = workshop.session
    baseline = session.part(session.teacher, session.certification)
    limit = session.request.compress.max_drop
    passed: list[Point] = []
    order: list[dict[str, Any]] = []
    for point in points:
        variant = workshop.open(point.path)
        found = session.part(variant, session.certification)
        variant.engine.close()
        drop = noninferiority(
            baseline.evidence, found.evidence, alpha=ALPHA, seed=session.request.seed
        )
        point.certified = told(drop, limit)
        holds = drop.within(limit)
        order.append(
            {"point": point.id, "bound_points": round(100 * drop.bound, 4), "passed": holds}
        )
        sign = "holds" if holds else "does not hold"
        say(
            f"  {point.label}: loses at most {100 * drop.bound:.2f} points on {drop.rows:,} rows, "
            f"{limit:g} allowed: {sign}"
        )
        if not holds:
            break
        passed.append(point)
    return Certified(passed, order, baseline)


def told(drop: Drop, limit: float) -> dict[str, Any]:
    """A test as compression.json has it."""
    return {
        "method": drop.method,
        "alpha": drop.alpha,
        "rows": drop.rows,
        "baseline": round(drop.baseline, 6),
        "value": round(drop.value, 6),
        "drop_points": round(100 * drop.drop, 4),
        "bound_points": round(100 * drop.bound, 4),
        "max_drop": limit,
        "only_baseline_right": drop.only_baseline,
        "only_chosen_right": drop.only_candidate,
        "passed": drop.within(limit),
    }


def race(workshop: Workshop, point: Point) -> dict[str, Any]:
    """The chosen form against the uncompressed model in torch, call by call in turn."""
    session = workshop.session
    variant = workshop.open(point.path)
    own = again(session.probe, workshop.network(point.path[:-1]))
    models = {"baseline": Fixed(session.teacher, session.probe), "chosen": Fixed(variant, own)}
    times = interleaved(models, session.probe, PROOF_RUNS, PROOF_SECONDS, seed=session.request.seed)
    variant.engine.close()
    before, after = (percentiles(times[name], session.probe) for name in ("baseline", "chosen"))
    call = session.probe[len(session.probe) // 2]
    return {
        "shape": {"batch": call.batch, "length": call.length, "calls": len(session.probe)},
        "runs": int(times["chosen"].size),
        "baseline_p50_ms": before["p50_ms"],
        "baseline_p95_ms": before["p95_ms"],
        "p50_ms": after["p50_ms"],
        "p95_ms": after["p95_ms"],
        **speed_up(times["baseline"], times["chosen"], session.probe),
    }


class Fixed:
    """A model that answers each call with the features of its own encoder."""

    def __init__(self, model: Any, own: Sequence[Any]) -> None:
        self.model = model
        self.own = [list(call.features) for call in own]
        self.turn = 0

    def logits(self, _features: Sequence[Any]) -> list[np.ndarray]:
        """The answers to the next call in turn."""
        found = self.model.logits(self.own[self.turn % len(self.own)])
        self.turn += 1
        return found


def keep_rows(session: Session, certified: Certified, chosen: Part, path: Path) -> None:
    """Write the certification rows with truth and logits, so that the test can be repeated."""
    task = session.teacher.task
    before, after = _by_example(certified.baseline), _by_example(chosen)
    with path.open("w", encoding="utf-8") as file:
        for place, row in enumerate(certified.baseline.rows):
            line = {
                "input": task.example(row),
                "row": {name: value for name, value in row.items() if not name.startswith("_")},
                "baseline": before[place],
                "answer": after[place],
            }
            file.write(json.dumps(line, ensure_ascii=False, default=_plain) + "\n")


def _by_example(part: Part) -> list[list[Any]]:
    """Rounded logits of each example's features."""
    found: list[list[Any]] = [[] for _ in part.rows]
    for place, (feature, logits) in enumerate(zip(part.features, part.logits, strict=True)):
        found[feature.get("example", place)].append(np.round(logits, 4).tolist())
    return found


def _plain(value: Any) -> Any:
    import base64

    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
