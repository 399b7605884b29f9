"""The certification rows are opened: points are tested in their order, until one fails."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.compress.choosing import ALPHA
from modelwright.compress.points import Point, Workshop
from modelwright.compress.session import Part, Session
from modelwright.engines._latency import again, race
from modelwright.metrics.noninferiority import Drop, noninferiority
from modelwright.runtime.files import read_json, write_json
from modelwright.runtime.progress import say

PROOF_RUNS = 1_000
PROOF_SECONDS, RACE_SHARE = 60.0, 0.05
"""Of the race, which takes this share of the budget at most."""
MOST_IMAGE_BYTES = 32 << 20
"""Of the certification rows' files, for them to be kept in the bundle."""


@dataclass
class Certified:
    """What the tests said.

    Attributes:
        passed: the points that hold their claim, in the order of the tests.
        order: every test, in order: `{"point", "bound_points", "passed"}`.
        baseline: the teacher on the certification rows.
        openings: how often these rows were opened in this search's folder, now included.
    """

    passed: list[Point]
    order: list[dict[str, Any]]
    baseline: Part
    openings: int


def certify(workshop: Workshop, points: Sequence[Point]) -> Certified:
    """Test each point's drop; the first failure ends the tests.

    Args:
        points: safest first, ordered without a look at the certification rows.
    """
    session = workshop.session
    baseline = session.part(session.teacher, session.certification)
    limit, seed = session.request.compress.max_drop, session.request.seed
    openings = _openings(session.request.scratch)
    passed: list[Point] = []
    order: list[dict[str, Any]] = []
    for point in points:
        found = answered(workshop, point)
        drop = noninferiority(baseline.evidence, found.evidence, alpha=ALPHA, seed=seed)
        point.certified = told(drop, limit, seed)
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
    return Certified(passed, order, baseline, openings)


def answered(workshop: Workshop, point: Point) -> Part:
    """A point's form on the certification rows."""
    variant = workshop.open(point.path)
    try:
        return workshop.session.part(variant, workshop.session.certification)
    finally:
        variant.engine.close()


def _openings(scratch: Path) -> int:
    """Count one more opening of the rows."""
    path = scratch / "openings.json"
    count = 1 + (read_json(path)["count"] if path.is_file() else 0)
    write_json(path, {"count": count})
    return count


def told(drop: Drop, limit: float, seed: int) -> dict[str, Any]:
    """A test as compression.json has it; the seed is that of its resampling."""
    return {
        "method": drop.method,
        "alpha": drop.alpha,
        "seed": seed,
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


def race_seconds(budget: float) -> float:
    """Seconds that the race may take, of a budget in seconds."""
    return min(PROOF_SECONDS, RACE_SHARE * budget)


def raced(workshop: Workshop, point: Point) -> dict[str, Any]:
    """The chosen form against the uncompressed model in torch, call by call in turn."""
    session = workshop.session
    variant = workshop.open(point.path)
    own = again(session.probe, workshop.network(point.path[:-1]))
    found = race(
        (session.teacher, session.probe),
        (variant, own),
        PROOF_RUNS,
        race_seconds(session.budget),
        seed=session.request.seed,
    )
    variant.engine.close()
    call = session.probe[len(session.probe) // 2]
    shape = {"batch": call.batch, "length": call.length, "calls": len(session.probe)}
    return {"shape": shape, **found}


def keep_rows(session: Session, certified: Certified, chosen: Part, path: Path) -> None:
    """Write the certification rows with truth and logits, so that the test can be repeated.

    Images are kept as the files that they were (base64), unless they are too large together.
    """
    task = session.teacher.task
    inputs = [task.example(row) for row in certified.baseline.rows]
    if sum(len(one) for one in inputs if isinstance(one, bytes)) > MOST_IMAGE_BYTES:
        say(f"  the images of the proof are over {MOST_IMAGE_BYTES >> 20} MiB and are left out")
        return
    before, after = _by_example(certified.baseline), _by_example(chosen)
    with path.open("w", encoding="utf-8") as file:
        for place, row in enumerate(certified.baseline.rows):
            kept = {k: v for k, v in row.items() if k[0] != "_" and not isinstance(v, bytes)}
            line = {
                "input": inputs[place],
                "row": kept,
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
