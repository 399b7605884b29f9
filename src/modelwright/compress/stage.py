"""The compression stage: see the package's docstring for what goes in and out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from modelwright import plugs
from modelwright.artifacts.hashing import digest_files
from modelwright.compress.certifying import Certified, certify, keep_rows
from modelwright.compress.choosing import limits_of, mark_pareto, meets, sequence
from modelwright.compress.points import Point, Workshop, allowed_passes
from modelwright.compress.search import EXACT, Search
from modelwright.compress.session import CompressRequest, Session, alone, open_session
from modelwright.compress.settling import Settled, memory_of, settle
from modelwright.compress.size import size_ledger
from modelwright.engines._latency import timed
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


def run(request: CompressRequest) -> dict[str, Any]:
    """Search, prove, and write the artifact; returns compression.json.

    An unmet request is an answer, too: `status` is `nearest` and the nearest point is kept.

    Raises:
        UserError: MW-203 with too few rows; MW-106 when the model cannot take a pass that the
            recipe names.
        GateError: MW-501 when no form could be made, or what was cut is not what was meant.
        KeyboardInterrupt: asked to stop; the next call goes on.
    """
    with alone(request.scratch):
        return _run(request)


def _run(request: CompressRequest) -> dict[str, Any]:
    count = request.dataset.info.rows["train"]
    settings = settings_like(request.training, request.teacher, count, request.seed)
    session = open_session(request, settings)
    named = frozenset(part.name for part in request.compress.passes or ())
    options = pass_options(request.compress.passes)
    workshop = Workshop(session, allowed_passes(options, request.teacher, named))
    try:
        points = Search(workshop, named).run()
    finally:
        session.keep_time()
    _memory(workshop, points)
    for point in points:
        point.meets = meets(point, request.compress)
    order = sequence(points, request.compress, len(session.certification))
    say(f"  proving {len(order)} of {len(points)} points on rows that the search never saw")
    certified = certify(workshop, order)
    settled = settle(workshop, points, certified)
    mark_pareto(points)
    told = _written(workshop, points, settled, certified)
    told |= {
        "status": "nearest" if settled.answer else "met",
        "chosen": settled.point.id,
        "infeasible": settled.answer,
        "seconds": round(session.spent, 1),
    }
    write_json(request.folder / "compression.json", told)
    session.finish()
    return told


def pass_options(parts: Sequence[Part] | None) -> dict[str, dict[str, Any]]:
    """Options of each pass that may be used; `quantize` stands for all numeric ones."""
    known = plugs.names("pass")
    if parts is None:
        return {name: {} for name in known}
    single = {part.name: dict(part.options) for part in parts}
    group = single.pop(NUMERIC_PASSES, None) is not None
    numeric = [name for name in known if group and plugs.load("pass", name).cls.writes_form]
    return {EXACT: {}} | {name: {} for name in numeric} | single


def _memory(workshop: Workshop, points: list[Point]) -> None:
    """Memory of the points that may be chosen, each in a process of its own."""
    compress = workshop.session.request.compress
    wanted = compress.minimize == "memory" or compress.limits.memory_mb is not None
    for point in points if wanted else []:
        if point.memory_mb is None:
            point.memory_mb = memory_of(workshop, point)


# -- writing ----------------------------------------------------------------------------------------
def _written(
    workshop: Workshop, points: Sequence[Point], settled: Settled, certified: Certified
) -> dict[str, Any]:
    """Write the artifact's files; returns compression.json without its verdict."""
    session, request, chosen = workshop.session, workshop.session.request, settled.point
    network, form = workshop.network(chosen.path[:-1]), workshop.form(chosen.path)
    network.save(request.folder / "checkpoint")
    write_json(request.folder / "checkpoint" / "training.json", request.training)
    shutil.copytree(
        form.folder, request.folder / "form", ignore=shutil.ignore_patterns("facts.json")
    )
    write_json(request.folder / "form.json", asdict(form.draft))
    (request.folder / "proof").mkdir()
    if request.compress.proof_rows:
        keep_rows(session, certified, settled.part, request.folder / "proof" / "rows.jsonl")
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
        "points": [point.as_dict() for point in points],
        "bought": _bought(workshop, chosen),
        "proof": {
            "test": {**(chosen.certified or {}), "openings": certified.openings},
            "sequence": certified.order,
            "latency": settled.race,
            **settled.stages,
            "size": size_ledger(request.folder / "form"),
            "files": digest_files(request.folder / "form"),
            "flags": describe()["flags"],
            "versions": versions(*LIBRARIES),
        },
    }


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
