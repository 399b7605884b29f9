"""The compression stage: see the package's docstring for what goes in and out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from modelwright import plugs
from modelwright.artifacts.hashing import digest_files
from modelwright.compress.answer import infeasible
from modelwright.compress.certifying import Certified, certify, keep_rows, raced
from modelwright.compress.choosing import limits_of, mark_pareto, meets, objective, sequence
from modelwright.compress.memory import memory_mb
from modelwright.compress.points import TIMING_SECONDS, Point, Workshop, allowed_passes
from modelwright.compress.proof import stages_of
from modelwright.compress.search import EXACT, Search
from modelwright.compress.session import CompressRequest, Session, open_session
from modelwright.compress.size import size_ledger
from modelwright.engines._latency import timed
from modelwright.errors import UserError
from modelwright.formats._tuning import tune
from modelwright.recipe.schema import NUMERIC_PASSES, Part
from modelwright.runtime.files import write_json
from modelwright.runtime.libraries import versions
from modelwright.runtime.machine import describe
from modelwright.runtime.progress import say
from modelwright.train.stage import settings_like

SCHEMA = 1
LIBRARIES = (
    "modelwright",
    "torch",
    "openvino",
    "nncf",
    "onnxruntime",
    "onnx",
    "tokenizers",
    "numpy",
)
NEAR = 0.9
"""Points within this share of the best objective are measured in a process of their own."""


def run(request: CompressRequest) -> dict[str, Any]:
    """Search, prove, and write the artifact; returns compression.json.

    An unmet request is an answer, too: `status` is `nearest` and the nearest point is kept.

    Raises:
        UserError: MW-203 with too few rows; MW-106 when the model can take none of the passes.
        KeyboardInterrupt: asked to stop; the next call goes on.
    """
    count = request.dataset.info.rows["train"]
    settings = settings_like(request.training, request.teacher, count, request.seed)
    session = open_session(request, settings)
    names = pass_options(request.compress.passes)
    workshop = Workshop(session, _usable(names, request))
    named = frozenset(part.name for part in request.compress.passes or ())
    points = Search(workshop, named).run()
    _memory(workshop, points)
    for point in points:
        point.meets = meets(point, request.compress)
    order = sequence(points, request.compress, len(session.certification))
    say(f"  proving {len(order)} of {len(points)} points on rows that the search never saw")
    certified = certify(workshop, order)
    proven = [point for point in certified.passed if point.meets]
    status = "met" if proven else "nearest"
    answer = None if proven else _unmet(workshop, points, certified)
    chosen = _named(points, answer["nearest"]) if answer else _best(proven, request)
    mark_pareto(points)
    told = _written(workshop, points, chosen, certified)
    told |= {"status": status, "chosen": chosen.id, "infeasible": answer}
    told["seconds"] = round(session.spent, 1)
    write_json(request.folder / "compression.json", told)
    return told


def pass_options(parts: Sequence[Part] | None) -> dict[str, dict[str, Any]]:
    """Options of each pass that may be used; `quantize` stands for all numeric ones."""
    known = plugs.names("pass")
    numeric = [name for name in known if plugs.load("pass", name).cls.writes_form]
    if parts is None:
        return {name: {} for name in known}
    found: dict[str, dict[str, Any]] = {}
    for part in parts:
        group = numeric if part.name == NUMERIC_PASSES else [part.name]
        found |= {name: dict(part.options) for name in group}
    return {EXACT: {}} | found


def _usable(names: Mapping[str, Mapping[str, Any]], request: CompressRequest) -> dict[str, Any]:
    usable = allowed_passes(names, request.teacher)
    if not any(one.writes_form for one in usable.values()):
        raise UserError(
            "MW-106",
            f"no pass of {', '.join(names)} writes a form of this model",
            expected="at least one numeric pass, such as int8-static",
            fix="delete `compress.passes` for all that the model can take",
        )
    return usable


def _dicts(points: Sequence[Point]) -> list[dict[str, Any]]:
    return [point.as_dict() for point in points]


def _memory(workshop: Workshop, points: list[Point]) -> None:
    """Memory of the points that may be chosen, each in a process of its own."""
    compress = workshop.session.request.compress
    wanted = compress.minimize == "memory" or compress.limits.memory_mb is not None
    for point in points if wanted else []:
        if point.memory_mb is None:
            point.memory_mb = _memory_of(workshop, point)


def _memory_of(workshop: Workshop, point: Point) -> float | None:
    form, probe = workshop.form(point.path), workshop.probe(point.path)
    return memory_mb(form.folder, form.draft.engine, workshop.network(point.path[:-1]), probe)


def _unmet(workshop: Workshop, points: Sequence[Point], certified: Certified) -> dict[str, Any]:
    """What to say when nothing is proven inside the limits; the nearest point has a bound, too."""
    asked = workshop.session.request.compress.model_dump()
    while True:
        answer = infeasible(_dicts(points), asked)
        nearest = _named(points, answer["nearest"])
        if nearest.certified is not None:
            return answer
        _judged(workshop, nearest, certified)


def _named(points: Sequence[Point], identity: str) -> Point:
    return next(point for point in points if point.id == identity)


def _best(points: Sequence[Point], request: CompressRequest) -> Point:
    return min(points, key=lambda point: objective(point, request.compress))


# -- writing ----------------------------------------------------------------------------------------
def _written(
    workshop: Workshop, points: Sequence[Point], chosen: Point, certified: Certified
) -> dict[str, Any]:
    """Write the artifact's files; returns compression.json without its verdict."""
    session, request = workshop.session, workshop.session.request
    network, form = workshop.network(chosen.path[:-1]), workshop.form(chosen.path)
    _settle(workshop, chosen)
    network.save(request.folder / "checkpoint")
    write_json(request.folder / "checkpoint" / "training.json", request.training)
    shutil.copytree(
        form.folder, request.folder / "form", ignore=shutil.ignore_patterns("facts.json")
    )
    write_json(request.folder / "form.json", asdict(form.draft))
    chosen.memory_mb = chosen.memory_mb or _memory_of(workshop, chosen)
    part = _judged(workshop, chosen, certified)
    (request.folder / "proof").mkdir()
    if request.compress.proof_rows:
        keep_rows(session, certified, part, request.folder / "proof" / "rows.jsonl")
    say("  timing the chosen form against the uncompressed model")
    return {
        "schema": SCHEMA,
        "request": _request(request),
        "main": session.answers.evidence.main,
        "rows": {
            "train": len(session.material.rows),
            "tuning": len(session.tuning),
            "certification": len(session.certification),
        },
        "shapes": [
            {"batch": call.batch, "length": call.length, "weight": call.weight}
            for call in session.probe
        ],
        "machine": describe(),
        "versions": versions(*LIBRARIES),
        "baseline": _baseline(session),
        "points": _dicts(points),
        "bought": _bought(workshop, chosen),
        "proof": {
            "test": chosen.certified,
            "sequence": certified.order,
            "latency": raced(workshop, chosen),
            **stages_of(workshop, chosen.path, certified.baseline, part),
            "size": size_ledger(request.folder / "form"),
            "files": digest_files(request.folder / "form"),
            "flags": describe()["flags"],
            "versions": versions(*LIBRARIES),
        },
    }


def _settle(workshop: Workshop, chosen: Point) -> None:
    """Threads and streams that run the chosen form best here; its answers stay the same bits."""
    form, probe = workshop.form(chosen.path), workshop.probe(chosen.path)
    model = workshop.network(chosen.path[:-1])
    features = [feature for call in probe for feature in call.features]
    aim = "one" if max(call.batch for call in probe) == 1 else "many"
    tune(form.folder, form.draft.engine, model.task, model.encoder, features, aim)
    variant = workshop.open(chosen.path)
    chosen.latency = timed(variant, probe, TIMING_SECONDS)
    variant.engine.close()


def _judged(workshop: Workshop, chosen: Point, certified: Certified) -> Any:
    """The chosen form on the certification rows; its test, where it was not reached."""
    from modelwright.compress.certifying import told
    from modelwright.metrics.noninferiority import noninferiority

    session = workshop.session
    variant = workshop.open(chosen.path)
    part = session.part(variant, session.certification)
    variant.engine.close()
    if chosen.certified is None:
        drop = noninferiority(certified.baseline.evidence, part.evidence, seed=session.request.seed)
        chosen.certified = {**told(drop, session.request.compress.max_drop), "passed": False}
    return part


def _request(request: CompressRequest) -> dict[str, Any]:
    compress = request.compress
    given = compress.model_dump(exclude={"model", "unlabelled", "proof_rows", "budget", "passes"})
    return {
        **given,
        "limits": limits_of(compress),
        "passes": [part.short() for part in compress.passes or ()],
        "budget_minutes": compress.budget.minutes,
    }


def _baseline(session: Session) -> dict[str, Any]:
    """The uncompressed model in torch."""
    scratch = session.request.scratch / "baseline"
    shutil.rmtree(scratch, ignore_errors=True)
    session.teacher.save(scratch)
    size = sum(path.stat().st_size for path in scratch.iterdir())
    latency = timed(session.teacher, session.probe, 2.0)
    answers = session.answers
    return {
        "label": "uncompressed, torch fp32",
        "form": "torch-fp32",
        "bytes": size,
        "memory_mb": None,
        "latency": latency,
        "tuning": {
            "value": round(answers.evidence.scores()[answers.evidence.main], 5),
            "rows": len(session.tuning),
        },
    }


def _bought(workshop: Workshop, chosen: Point) -> list[dict[str, Any]]:
    """What each step of the path bought, its network run in torch until the form is written."""
    session, found = workshop.session, []
    for length in range(1, len(chosen.path)):
        path = chosen.path[:length]
        model = workshop.network(path)
        scratch = session.request.scratch / "bought"
        shutil.rmtree(scratch, ignore_errors=True)
        model.save(scratch)
        found.append(
            {
                "step": path[-1]["pass"],
                "label": _told(path[-1]),
                "bytes": sum(file.stat().st_size for file in scratch.iterdir()),
                "p50_ms": timed(model, workshop.probe([*path, {}]), 0.5)["p50_ms"],
                "value": workshop.scored(model)["value"],
            }
        )
    found.append(
        {
            "step": chosen.path[-1]["pass"],
            "label": chosen.form,
            "bytes": chosen.bytes,
            "p50_ms": chosen.latency["p50_ms"],
            "value": chosen.tuning["value"],
        }
    )
    return found


def _told(step: Mapping[str, Any]) -> str:
    """A step in a few words."""
    choice = step["choice"]
    kept = choice.get("kept")
    if step["pass"] == "layers":
        return "layers " + ", ".join(str(number + 1) for number in kept)
    if kept is not None:
        unit = "heads" if step["pass"] == "heads" else "neurons"
        return f"{sum(map(len, kept)):,} {unit}"
    if "epochs" in choice:
        return f"{choice['epochs']:g} epochs"
    return json.dumps(choice) if choice else ""
