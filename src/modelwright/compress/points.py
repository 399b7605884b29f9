"""Measured points, and the workshop that makes them.

A point is a path applied to the teacher: what was cut, how it was taught, in which form it runs;
with its size, its latency, and its score on the tuning rows. Networks and forms are kept in the
search's folder by the path that made them, so nothing is made twice, also after a kill.

    networks/KEY/   a network with its encoder     forms/KEY/   a packaged form     points.jsonl
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from modelwright import plugs
from modelwright.artifacts.hashing import digest_json
from modelwright.compress.passes import Form, Material, Pass, Piece
from modelwright.compress.session import Session
from modelwright.engines._bundle import Variant, open_variant
from modelwright.engines._latency import Call, again, timed
from modelwright.errors import UserError
from modelwright.formats import Draft
from modelwright.models.checkpoint import TrainedModel, open_checkpoint
from modelwright.runtime.files import fsync_folder, read_json, write_json
from modelwright.runtime.progress import say

Step = dict[str, Any]
"""`{"pass": NAME, "choice": {...}}`"""

TIMING_SECONDS = 1.0
MEGABYTE = 1e6


@dataclass
class Point:
    """One measured candidate; see docs/compression.md for the meaning of each field."""

    id: str
    parent: str | None
    label: str
    path: list[Step]
    form: str
    engine: str
    precision: str
    bytes: int
    memory_mb: float | None
    latency: dict[str, float]
    tuning: dict[str, float]
    seconds: float
    certified: dict[str, Any] | None = None
    meets: bool = False
    pareto: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Workshop:
    """Makes pieces and measures them.

    Attributes:
        session: the search.
        passes: the passes that may be used, by name.
        points: what was measured so far, in order.
    """

    session: Session
    passes: dict[str, Pass]
    points: list[Point] = field(default_factory=list)
    _opened: tuple[Path, TrainedModel] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        for half in self.session.request.scratch.glob("*/.*.tmp"):  # of a killed process
            shutil.rmtree(half)
        path = self._list
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            self.points = [Point(**values) for line in lines if (values := _whole(line))]

    @property
    def _list(self) -> Path:
        return self.session.request.scratch / "points.jsonl"

    # -- networks ---------------------------------------------------------------------------------
    def network(self, path: Sequence[Step], facts: dict[str, Any] | None = None) -> TrainedModel:
        """The network that a path of structural passes makes of the teacher.

        Args:
            path: without a numeric pass.
            facts: filled with what the last pass had to say.
        """
        if not path:
            return self.session.teacher
        folder = self._folder("networks", path)
        if not (folder / "facts.json").is_file():
            piece = Piece(self.network(path[:-1]))
            made = self._apply(piece, path[-1], self._material(path))
            _publish(folder, made.model.save, dict(made.facts))
            self.session.keep_time()
        if facts is not None:
            facts.update(read_json(folder / "facts.json"))
        if self._opened is None or self._opened[0] != folder:
            self._opened = folder, open_checkpoint(folder)
        return self._opened[1]

    def _material(self, path: Sequence[Step]) -> Material:
        """Lessons are given by the teacher with the same vocabulary, so that ids mean the same."""
        material = self.session.material
        if len(path) > 1 and path[0]["pass"] == "vocabulary":
            return replace(material, teacher=self.network(path[:1]))
        return material

    def _apply(self, piece: Piece, step: Step, material: Material) -> Piece:
        return self.passes[step["pass"]].apply(piece, step["choice"], material)

    def _folder(self, kind: str, path: Sequence[Step]) -> Path:
        key = digest_json([list(path), _versions(path)])[:16]
        return self.session.request.scratch / kind / key

    # -- forms ------------------------------------------------------------------------------------
    def form(self, path: Sequence[Step]) -> Form:
        """The packaged form that a whole path makes."""
        folder = self._folder("forms", path)
        if not (folder / "facts.json").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            piece = Piece(self.network(path[:-1]))
            scratch = self.session.request.scratch / "making"
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)
            made = self._apply(piece, path[-1], replace(self._material(path), folder=scratch))
            assert made.form is not None, f"{path[-1]['pass']} writes a form"  # noqa: S101
            source, draft, facts = made.form.folder, made.form.draft, dict(made.facts)
            facts["draft"] = asdict(draft)
            _publish(folder, lambda target: shutil.copytree(source, target), facts)
            shutil.rmtree(scratch, ignore_errors=True)
        return Form(folder, Draft(**read_json(folder / "facts.json")["draft"]))

    def open(self, path: Sequence[Step]) -> Variant:
        """The form, ready to answer."""
        form, model = self.form(path), self.network(path[:-1])
        rows = 0 if form.draft.batch_invariant else 1
        return open_variant(form.folder, form.draft.engine, model.task, model.encoder, rows=rows)

    # -- points -----------------------------------------------------------------------------------
    def measure(self, path: Sequence[Step], label: str, parent: str | None = None) -> Point:
        """Make a path's form, time it, score it on the tuning rows, and write the point down."""
        identity = f"p{digest_json(list(path))[:6]}"
        known = next((point for point in self.points if point.id == identity), None)
        if known is not None:
            return known
        started = time.perf_counter()
        form, variant = self.form(path), self.open(path)
        session = self.session
        latency = timed(variant, self.probe(path), TIMING_SECONDS)
        part = session.part(variant, session.tuning)
        variant.engine.close()
        point = Point(
            id=identity,
            parent=parent,
            label=label,
            path=list(path),
            form=form.draft.name,
            engine=form.draft.engine,
            precision=form.draft.precision,
            bytes=self.size(path),
            memory_mb=None,
            latency=latency,
            tuning=self._tuning(part),
            seconds=round(time.perf_counter() - started, 2),
        )
        self.add(point)
        return point

    def scored(self, model: Any) -> dict[str, float]:
        """How a network does on the tuning rows, beside the teacher."""
        return self._tuning(self.session.part(model, self.session.tuning))

    def cost(self, path: Sequence[Step]) -> tuple[dict[str, float], int]:
        """Latency and bytes of a path's form, without a score: for networks that learnt nothing."""
        variant = self.open(path)
        latency = timed(variant, self.probe(path), TIMING_SECONDS)
        variant.engine.close()
        return latency, self.size(path)

    @staticmethod
    def blocks(model: TrainedModel) -> list[Any]:
        """The layers of a network, as its family tells them; none where there is no such family."""
        kind = str(model.network.backbone.config.model_type)  # type: ignore[union-attr]
        if not plugs.exists("family", kind):
            return []
        return plugs.load("family", kind).cls.blocks(model.network.backbone)

    def add(self, point: Point) -> None:
        """Write a point down; a killed search finds it again."""
        self.points.append(point)
        with self._list.open("a+b") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read() != b"\n":  # a process was killed in the middle of its line
                    file.write(b"\n")
            line = json.dumps(point.as_dict(), ensure_ascii=False)
            file.write(f"{line}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        self.session.keep_time()

    def probe(self, path: Sequence[Step]) -> list[Call]:
        """The calls, with the encoder of the path."""
        return again(self.session.probe, self.network(path[:-1]))

    def size(self, path: Sequence[Step]) -> int:
        """Bytes of the form and of the encoder that it needs."""
        form, encoder = self.form(path), self.session.request.scratch / "encoder"
        shutil.rmtree(encoder, ignore_errors=True)
        self.network(path[:-1]).encoder.save(encoder)
        skipped = {"facts.json"}
        files = [*form.folder.rglob("*"), *encoder.rglob("*")]
        return sum(f.stat().st_size for f in files if f.is_file() and f.name not in skipped)

    def _tuning(self, part: Any) -> dict[str, float]:
        session = self.session
        task, answers = session.teacher.task, session.answers
        value, before = (e.scores()[e.main] for e in (part.evidence, answers.evidence))
        ours = task.decode(part.logits, part.features)
        theirs = task.decode(answers.logits, answers.features)
        right, own = answers.evidence.correct(), part.evidence.correct()
        return {
            "value": round(value, 5),
            "drop_points": round(100 * (before - value), 3),
            "agreement": round(task.agreement(theirs, ours), 5),
            "apart": round(float((right != own).mean()), 5),
            "rows": len(session.tuning),
        }


def allowed_passes(
    names: Mapping[str, Mapping[str, Any]],
    model: TrainedModel,
    named: Collection[str] = frozenset(),
) -> dict[str, Pass]:
    """The passes of a recipe that a model can take; why it cannot take the others is said.

    Args:
        names: options by pass name.
        model: the teacher.
        named: those that the recipe asks for by name.

    Raises:
        UserError: MW-106 where the model cannot take one of `named`.
    """
    found: dict[str, Pass] = {}
    for name, options in names.items():
        plug = plugs.load("pass", name)
        one = plug.cls(plug.config(**options))
        reason = one.misfit(model)
        if reason and name in named:
            raise UserError(
                "MW-106",
                f"`compress.passes` names {name}, which this model cannot take: {reason}",
                expected="passes that suit the model (`mw list passes`)",
                fix=f"delete {name}, or `compress.passes` for all that suit the model",
            )
        if reason:
            say(f"  {name} is left out: {reason}")
        else:
            found[name] = one
    return found


def _versions(path: Sequence[Step]) -> dict[str, int]:
    return {step["pass"]: plugs.load("pass", step["pass"]).version for step in path}


def _publish(folder: Path, write: Any, facts: dict[str, Any]) -> None:
    """Write a folder under another name and rename it when it is whole."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.parent.mkdir(parents=True, exist_ok=True)
    write(temporary)
    write_json(temporary / "facts.json", facts)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary, folder)
    fsync_folder(folder.parent)


def _whole(line: str) -> dict[str, Any] | None:
    """A line of points.jsonl; None for the half line of a kill."""
    try:
        return json.loads(line)
    except ValueError:
        return None
