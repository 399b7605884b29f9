"""Which point is taken: the best proven one that meets the limits as the proof measures it.

    best by the search's short timings ─▶ threads and streams ─▶ race, memory ─▶ inside the limits?
               ▲                                                                        │ no
               └──────────────────────────── the next best ◀────────────────────────────┘

A second of timing tells which points are worth a test; limits are judged by the race.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from modelwright.compress.answer import infeasible
from modelwright.compress.certifying import Certified, answered, raced, told
from modelwright.compress.choosing import meets, objective
from modelwright.compress.memory import memory_mb
from modelwright.compress.points import TIMING_SECONDS, Point, Workshop
from modelwright.compress.proof import stages_of
from modelwright.compress.session import Part
from modelwright.engines._latency import timed
from modelwright.errors import GateError
from modelwright.formats._tuning import tune
from modelwright.metrics.noninferiority import noninferiority
from modelwright.runtime.progress import say


@dataclass(frozen=True)
class Settled:
    """A point as the proof has it.

    Attributes:
        point: with the race's latency, and the memory that its form takes as it will be packaged.
        part: its form on the certification rows.
        race: against the uncompressed model.
        stages: `stages`, `coverage` and `fusions` of compression.json's `proof`.
        answer: of `infeasible`, where no proven point lies inside the limits.
    """

    point: Point
    part: Part
    race: dict[str, Any]
    stages: dict[str, Any]
    answer: dict[str, Any] | None = None


def settle(workshop: Workshop, points: Sequence[Point], certified: Certified) -> Settled:
    """The best proven point inside the limits; the nearest point where there is none.

    Args:
        workshop: makes and measures.
        points: all that were measured, judged by the search's timings.
        certified: what the tests said of them.

    Raises:
        GateError: MW-501 when of no point all stages of the proof hold.
    """
    compress, left, known = workshop.session.request.compress, list(points), dict[str, Settled]()
    while True:
        inside = [point for point in certified.passed if point.meets and point in left]
        answer = None if inside else _unmet(workshop, left, certified)
        if answer is None:
            point = min(inside, key=lambda one: objective(one, compress))
        else:
            point = next(one for one in left if one.id == answer["nearest"])
        if point.id in known:
            return replace(known[point.id], answer=answer)
        found = known[point.id] = _settled(workshop, point, certified)
        if broken := [one for one in found.stages["stages"] if not one.get("holds", True)]:
            left.remove(point)
            _refuse(point, broken[0], last=not left)
        elif answer is None and point.meets:
            return found


def _settled(workshop: Workshop, point: Point, certified: Certified) -> Settled:
    """Settle a point's form, prove its stages, race it, and judge it by the limits once more."""
    _tune(workshop, point)
    part = _judged(workshop, point, certified)
    stages = stages_of(workshop, point.path, certified.baseline, part)
    say(f"  timing {point.label} against the uncompressed model")
    race = raced(workshop, point)
    point.latency |= {name: race[name] for name in ("p50_ms", "p95_ms")}
    point.memory_mb = memory_of(workshop, point) or point.memory_mb
    point.meets = meets(point, workshop.session.request.compress)
    return Settled(point, part, race, stages)


def _refuse(point: Point, stage: dict[str, Any], *, last: bool) -> None:
    """Take a point's claim back: what runs is not what was meant."""
    seen = (
        f"{point.label}: {stage['what']} does not hold on {stage['rows']:,} rows (difference "
        f"{stage['max_abs_diff']:.3g}, {stage['tolerance']:g} allowed)"
    )
    if last:
        raise GateError(
            "MW-501",
            seen,
            expected="a model that answers as the one that it was made of",
            fix="report it with the versions of torch and openvino, and leave the pass out of "
            "`compress.passes` until then",
        )
    say(f"  refused: {seen}")
    point.meets = False
    point.certified = {**(point.certified or {}), "passed": False}


def _tune(workshop: Workshop, point: Point) -> None:
    """Threads and streams that run a form best here; its answers stay the same bits."""
    form, probe = workshop.form(point.path), workshop.probe(point.path)
    model = workshop.network(point.path[:-1])
    features = [feature for call in probe for feature in call.features]
    aim = "one" if max(call.batch for call in probe) == 1 else "many"
    tune(form.folder, form.draft.engine, model.task, model.encoder, features, aim)
    variant = workshop.open(point.path)
    point.latency = timed(variant, probe, TIMING_SECONDS)
    variant.engine.close()


def _judged(workshop: Workshop, point: Point, certified: Certified) -> Part:
    """A form on the certification rows; its test, where it was not reached."""
    part = answered(workshop, point)
    if point.certified is None:
        request = workshop.session.request
        limit, seed = request.compress.max_drop, request.seed
        drop = noninferiority(certified.baseline.evidence, part.evidence, seed=seed)
        point.certified = {**told(drop, limit, seed), "passed": False}
    return part


def memory_of(workshop: Workshop, point: Point) -> float | None:
    """MiB that a point's form takes; None where it could not be told."""
    form, probe = workshop.form(point.path), workshop.probe(point.path)
    return memory_mb(form.folder, form.draft.engine, workshop.network(point.path[:-1]), probe)


def _unmet(workshop: Workshop, points: Sequence[Point], certified: Certified) -> dict[str, Any]:
    """What to say when nothing is proven inside the limits; the nearest point has a bound, too."""
    asked = workshop.session.request.compress.model_dump()
    while True:
        answer = infeasible([point.as_dict() for point in points], asked)
        nearest = next(point for point in points if point.id == answer["nearest"])
        if nearest.certified is not None:
            return answer
        _judged(workshop, nearest, certified)
