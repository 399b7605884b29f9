"""The search: cheap candidates first, lessons for the promising, forms for all of them.

    vocabulary ─▶ forms of the whole network ─▶ costs of its parts ─▶ importance ─▶ a front of
    architectures (nothing trained) ─▶ thin networks, refitted alone ─▶ lessons, halving the front
    ─▶ forms of what was taught

Every step asks the clock. What a killed search has made and measured is found again by its path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from modelwright.artifacts.hashing import digest_json
from modelwright.compress.certifying import race_seconds
from modelwright.compress.choosing import chance, figure, objective
from modelwright.compress.course import LEAST_EPOCHS, USUAL_EPOCHS, Course, Front, epochs_in
from modelwright.compress.depth import kept_layers
from modelwright.compress.importance import importance
from modelwright.compress.points import MEGABYTE, Point, Step, Workshop
from modelwright.compress.shapes import (
    MULTIPLE,
    Costs,
    Shape,
    front,
    groups_of,
    shaped,
    spread_layers,
    table,
    thinned,
)
from modelwright.errors import GateError
from modelwright.formats._embeddings import GROUP
from modelwright.models.checkpoint import TrainedModel
from modelwright.runtime.files import read_json, write_json
from modelwright.runtime.progress import say

EXACT = "fp32"
CUTS = ("layers", "heads", "ffn")
COMMON = (0, 1_000, 2_000, 4_000, 8_000, 16_000, 10_000_000)
"""Of a vocabulary's first pieces, kept beside those that the training rows hold; the last: all."""
COVERAGE, COVERAGE_SMALL = 0.9, 0.8
"""Share of held-out rows that are read as before; the second where size is what counts."""
VOCABULARY_SHARE, VOCABULARY_ROOM = 0.4, 0.6
"""Of the allowed drop, and of the allowed size."""
NARROW_BYTES = 0.5 + 2 / GROUP
"""Of a weight in an embedding table of 4 bits; else 1."""
FAST = ("fp32", "bf16", "int8-dynamic", "int8-static")
SMALL = ("fp32", "fp16", "int8-dynamic", "int8-static", "int8-weights", "int4-weights")
NARROW = "int4-embeddings"
"""The form that is also tried where size counts, or is limited."""
BY_AIM = {"latency": FAST, "cost": FAST, "size": SMALL, "memory": SMALL}
BYTES = {"int4-weights": 0.5, "int8": 1.0, "int8-weights": 1.0, "bf16": 2.0, "fp16": 2.0}
"""Of a weight in a linear layer, by precision; else 4."""
FINALIST_FORMS = 2
PILOT_ROWS = 1_500
"""Rows of the first lesson, which only tells how long a row takes."""
MOST_LESSONS = 4
EVALUATED = 1.1
"""Of an epoch's steps: with its evaluation and the rest."""
RESERVE_SHARE, RESERVE_MOST, RESERVE_LEAST = 0.12, 0.25, 30.0
"""Of the budget, and seconds, that are kept for the proof."""
PROOF_PASSES = 4
"""Times that the certification rows are answered about as slowly as by the teacher."""
SLACK_POINTS = 1.0
"""Beyond the limit: what a form may lose and still be tried on taught networks."""
LIKELY, HOPELESS = 0.5, 0.02
CLOSE = 3.0
"""Times the allowed drop up to which a lesson missed it by little."""
THIN = (0.85, 0.75, 0.6, 0.5, 0.4, 0.3)
"""Shares of the cost of all heads and neurons that are tried without a lesson."""
UNTAUGHT_SHARE = 0.15
"""Of the budget, that trying them may take."""
LESSON_LEAVES = 0.75
"""Of what tells a thin network from the whole (docs/lab.md)."""
KNOTS = (1, 2)
"""Quarters of a layer's heads and neurons that are measured."""
HEADS_AT_MOST, NEURONS_AT_MOST = 0.5, 0.7
"""Of a layer's cost, whatever noise says."""
FIRST_SHARE = 0.5
"""Lessons begin with half of the layers at this share of their heads' and neurons' cost: on
BANKING77 such a network learnt to answer as well as the whole one (docs/lab.md)."""


@dataclass
class Search:
    """One search over one teacher.

    Attributes:
        workshop: makes and measures.
        named: passes that the recipe names one by one.
        base: path before the cuts: the vocabulary, where it may be cut.
        forms: numeric passes, best first.
        lesson_seconds: of an epoch of a network of all layers; learnt from the lessons.
    """

    workshop: Workshop
    named: frozenset[str] = frozenset()
    base: list[Step] = field(default_factory=list)
    forms: list[str] = field(default_factory=list)
    lesson_seconds: float = 0.0

    def run(self) -> list[Point]:
        """Measure as many points as the budget allows; all of them are returned."""
        self._cut_vocabulary()
        self._rank_forms()
        if self._cuts and self._room(0):
            if "distil" in self.workshop.passes:
                self._teach()
            else:
                self._cut_only()
        return self.workshop.points

    @property
    def _session(self) -> Any:
        return self.workshop.session

    @property
    def _compress(self) -> Any:
        return self._session.request.compress

    @property
    def _cuts(self) -> frozenset[str]:
        return frozenset(CUTS) & frozenset(self.workshop.passes)

    def _room(self, seconds: float) -> bool:
        """Whether something of this length fits in before proof and packaging."""
        return self._session.left - self._reserve > seconds

    @property
    def _reserve(self) -> float:
        """Seconds for what follows the search: answers of the certification rows, and the race."""
        budget, rows = self._session.budget, len(self._session.certification)
        proof = RESERVE_LEAST + PROOF_PASSES * rows * self._session.row_seconds
        proof += race_seconds(budget)
        return max(RESERVE_LEAST, RESERVE_SHARE * budget, min(proof, RESERVE_MOST * budget))

    # -- before anything is trained -----------------------------------------------------------------
    def _cut_vocabulary(self) -> None:
        """The smallest vocabulary in which enough held-out rows are read as before.

        What a piece less costs is seen on few of the tuning rows, so coverage decides, and the
        drop only speaks against. A limit on the size stops before the vocabulary fills it.
        """
        if "vocabulary" not in self.workshop.passes:
            return
        wanted = COVERAGE_SMALL if BY_AIM[self._compress.minimize] is SMALL else COVERAGE
        room = VOCABULARY_ROOM * MEGABYTE * (self._compress.limits.size_mb or math.inf)
        room /= NARROW_BYTES if NARROW in self.workshop.passes else 1.0
        for common in COMMON:
            path, facts = [_step("vocabulary", common=common)], dict[str, Any]()
            model = self.workshop.network(path, facts)
            if self.base and not self._room(0):
                return
            if self.base and facts["kept"] * model.network.head.in_features > room:
                return
            self.base = path
            drop = self.workshop.scored(model)["drop_points"]
            say(
                f"  vocabulary of {facts['kept']:,} pieces: {100 * facts['coverage']:.0f}% of "
                f"held-out rows read as before, drop {drop:.2f} points"
            )
            if facts["coverage"] >= wanted and drop <= VOCABULARY_SHARE * self._compress.max_drop:
                return

    def _rank_forms(self) -> None:
        """Measure every numeric form of the uncut network; the best ones serve the cut ones."""
        usual = BY_AIM[self._compress.minimize]
        if usual is SMALL or self._compress.limits.size_mb:
            usual = (*usual, NARROW)
        wanted = [name for name in usual if name in self.workshop.passes]
        wanted += [
            name
            for name, one in self.workshop.passes.items()
            if one.writes_form and name in self.named and name not in wanted
        ]
        points: dict[str, Point] = {}
        for name in wanted:
            if points and not self._room(0):
                break
            for point in self._tried(self.base, name, "whole network"):
                points[name] = point
        if not points:
            raise GateError(
                "MW-501",
                f"none of the forms {', '.join(wanted)} could be made",
                expected="one at least",
                fix="report what is said above with the versions of torch and openvino",
            )
        allowed = self._compress.max_drop + SLACK_POINTS
        good = [n for n, point in points.items() if point.tuning["drop_points"] <= allowed]
        self.forms = sorted(
            good or points, key=lambda name: objective(points[name], self._compress)
        )
        if self.base and self._room(0):
            self._tried([], self.forms[0], "nothing cut")

    def _tried(
        self, path: list[Step], form: str, label: str, parent: Point | None = None
    ) -> list[Point]:
        """The point of a path in a form; none where attention does not run as it should in it."""
        whole = [*path, _step(form)]
        try:
            point = self.workshop.measure(whole, f"{label}, {form}", parent.id if parent else None)
        except GateError as error:
            say(f"  {label}, {form} is left out: {error.problems[0].seen}")
            return []
        say(
            f"  {point.label}: {point.latency['p50_ms']:.3g} ms, {point.bytes / 1e6:.1f} MB, "
            f"drop {point.tuning['drop_points']:.2f} points"
        )
        return [point]

    # -- costs ------------------------------------------------------------------------------------
    def _costs(self, model: TrainedModel) -> Costs:
        """Measure what layers, heads and neurons cost by a few untrained cuts in the best form.

        Heads and neurons of one layer are cut to a half and to a quarter.
        """
        blocks = self.workshop.blocks(model)
        depth, heads, neurons = len(blocks), blocks[0].heads, blocks[0].up.out_features
        cuts, form = self._cuts, self.forms[0]

        def cost(layers: int, heads_kept: int, neurons_kept: int) -> float:
            path = self._untrained(layers, heads_kept, neurons_kept)
            return figure(*self.workshop.cost([*path, _step(form)]), self._compress)

        full = cost(depth, heads, neurons)
        layers = 1 if "layers" in cuts else depth
        one = cost(1, heads, neurons) if layers < depth else full
        a_layer = max(full - one, 1e-6) / (depth - 1) if layers < depth else full / depth
        head_knots = {max(1, heads * part // 4) for part in KNOTS if "heads" in cuts}
        neuron_knots = {neurons * part // 4 // MULTIPLE * MULTIPLE for part in KNOTS}
        neuron_knots = {knot for knot in neuron_knots if knot and "ffn" in cuts}
        slim = {n: cost(layers, n, neurons) / layers for n in sorted(head_knots - {heads})}
        thin = {n: cost(layers, heads, n) / layers for n in sorted(neuron_knots - {neurons})}
        of_heads = table(slim | {heads: one / layers}, heads, HEADS_AT_MOST * a_layer)
        of_neurons = table(
            {groups_of(n): value for n, value in thin.items()}
            | {groups_of(neurons): one / layers},
            groups_of(neurons),
            NEURONS_AT_MOST * a_layer,
        )  # fmt: skip
        rest = max(0.0, a_layer - of_heads[-1] - of_neurons[-1])
        return Costs(max(0.0, full - depth * a_layer), rest, of_heads, of_neurons)

    def _untrained(self, layers: int, heads: int, neurons: int) -> list[Step]:
        """A path that cuts to this size, whatever is cut."""
        model = self.workshop.network(self.base)
        blocks = self.workshop.blocks(model)
        path = list(self.base)
        kept = spread_layers(layers, len(blocks))
        if layers < len(blocks):
            path.append(_step("layers", kept=list(kept)))
        if heads < blocks[0].heads:
            path.append(_step("heads", kept=[list(range(heads))] * layers))
        if neurons < blocks[0].up.out_features:
            path.append(_step("ffn", kept=[list(range(neurons))] * layers))
        return path

    def _front(self) -> Front:
        """Architectures to teach, and thin ones that may need no lesson, inside the limit on the size.

        They hang on measured costs, so they are written down before that limit is looked at: a
        search that goes on, or has other limits, begins with the same.
        """
        name = f"front-{digest_json([self.base, self.forms[0]])[:12]}.json"
        path = self._session.request.scratch / name
        if not path.is_file():
            write_json(path, asdict(self._laid_out()))
        return self._fitting(Front.restored(read_json(path)))

    def _fitting(self, found: Front) -> Front:
        """What of a front fits; its smallest shape where none does."""
        model, first = self.workshop.network(self.base), found.shapes[found.first]
        shapes = tuple(shape for shape in found.shapes if self._fits(shape, model))
        shapes = shapes or found.shapes[-1:]
        thin = tuple(shape for shape in found.thin if self._fits(shape, model))
        return Front(shapes, shapes.index(first) if first in shapes else 0, thin)

    def _laid_out(self) -> Front:
        """Measure the costs, score layers, heads and neurons, and lay out the whole front."""
        model = self.workshop.network(self.base)
        say("  costs of layers, heads and neurons")
        costs = self._costs(model)
        say("  importance of layers, heads and neurons")
        rows, seed = self._session.material.rows, self._session.material.seed
        found = importance(model, rows, seed)
        if "layers" in self._cuts:
            found = replace(found, layers=kept_layers(model, rows, seed))
        depth = len(found.neurons)
        uncut = shaped(found, costs, self._cuts, depth, 1.0)
        half = max(1, depth // 2) if "layers" in self._cuts else depth
        first = shaped(found, costs, self._cuts, half, FIRST_SHARE)
        shapes = front(found, costs, self._cuts, seed)
        others = [shape for shape in shapes if shape.cost < 0.97 * uncut.cost and shape != first]
        ladder = sorted([*others, first], key=lambda shape: -shape.cost)
        wide = self._cuts & {"heads", "ffn"}
        thin = [shaped(found, costs, self._cuts, depth, share) for share in THIN if wide]
        return Front(tuple(ladder), ladder.index(first), tuple(thinned([uncut, *thin])[1:]))

    def _fits(self, shape: Shape, model: TrainedModel) -> bool:
        """Whether a shape's smallest form will lie inside the limit on the size."""
        limit = self._compress.limits.size_mb
        if limit is None:
            return True
        block, width = self.workshop.blocks(model)[0], model.network.head.in_features
        cut = 4 * width * width * (1 - _share_of(shape.heads, block.heads, self._depth))
        cut += (
            2
            * width
            * block.up.out_features
            * (1 - _share_of(shape.neurons, block.up.out_features, self._depth))
        )
        whole = [point for point in self.workshop.points if point.path[:-1] == self.base]
        sizes = [
            point.bytes - cut * self._depth * BYTES.get(point.precision, 4.0) for point in whole
        ]
        return min(sizes) <= limit * MEGABYTE

    # -- lessons ----------------------------------------------------------------------------------
    def _path(self, shape: Shape, model: TrainedModel) -> list[Step]:
        """Base and cuts of a shape; what follows cut neurons is refitted."""
        blocks = self.workshop.blocks(model)
        path = list(self.base)
        if len(shape.layers) < len(blocks):
            path.append(_step("layers", kept=list(shape.layers)))
        if any(len(h) < blocks[0].heads for h in shape.heads):
            path.append(_step("heads", kept=[list(h) for h in shape.heads], reconstruct=True))
        if any(len(n) < blocks[0].up.out_features for n in shape.neurons):
            path.append(_step("ffn", kept=[list(n) for n in shape.neurons], reconstruct=True))
        return path

    def _cut_only(self) -> None:
        """Without lessons: from the mild end on, until one loses too much."""
        model, found = self.workshop.network(self.base), self._front()
        for shape in found.thin or found.shapes:
            if not self._room(0):
                return
            allowed = self._compress.max_drop + SLACK_POINTS
            for point in self._tried(self._path(shape, model), self.forms[0], shape.label):
                if point.tuning["drop_points"] > allowed:
                    return

    def _untaught(self, shapes: Sequence[Shape]) -> Shape | None:
        """All layers, thinner and thinner, refitted and not taught, until none could be proven.

        The thinnest that is likely to be proven becomes a point.

        Returns:
            The thinnest beyond it that is likely to be after a lesson, if any.
        """
        model, good, near = self.workshop.network(self.base), None, None
        last = self._session.left - UNTAUGHT_SHARE * self._session.budget
        for shape in shapes:
            if self._session.left < last or not self._room(0):
                break
            seen = self.workshop.scored(self.workshop.network(self._path(shape, model)))
            say(
                f"  {shape.label}, refitted: {100 * seen['apart']:.1f}% of rows answered "
                f"otherwise, drop {seen['drop_points']:.2f} points"
            )
            relieved = {name: LESSON_LEAVES * seen[name] for name in ("apart", "drop_points")}
            if self._likely(seen) > LIKELY:
                good, near = shape, None
            elif self._likely({**seen, **relieved}) > LIKELY:
                near = shape
            elif self._likely(seen) < HOPELESS:
                break
        if good is not None:
            self._formed(self._path(good, model), f"{good.label}, refitted")
        return near

    def _likely(self, seen: Mapping[str, float]) -> float:
        """The chance that what answers the tuning rows like this is proven."""
        rows = len(self._session.certification)
        return chance(seen, rows, self._compress.max_drop)

    def _teach(self) -> None:
        """Lessons as long as the budget allows, in the order of a `Course`."""
        found = self._front()
        near = self._untaught(found.thin)
        first = found.shapes[found.first]
        if not self._room(0):
            return
        self._pilot(first)
        whole = self._kept_epochs("first", first, 1, USUAL_EPOCHS)
        course = Course(found, near, short=whole < USUAL_EPOCHS)
        for number in range(MOST_LESSONS):
            if course.shape is None:
                return
            least = LEAST_EPOCHS if number else LEAST_EPOCHS / 2
            lessons = max(1, 2 - number)
            epochs = self._kept_epochs(f"lesson-{number}", course.shape, lessons, least)
            if epochs < least:
                say("  no time for a lesson that would teach enough")
                return
            points = self._finished(course.shape, epochs)
            lost = min((point.tuning["drop_points"] for point in points), default=math.inf)
            course.taught(
                any(self._likely(point.tuning) > LIKELY for point in points),
                close=lost <= CLOSE * self._compress.max_drop,
            )

    def _pilot(self, shape: Shape) -> None:
        """Learn how long a lesson takes."""
        share = min(1.0, PILOT_ROWS / max(1, len(self._session.material.rows)))
        model = self.workshop.network(self.base)
        facts: dict[str, Any] = {}
        self.workshop.network([*self._path(shape, model), self._distil(shape, share)], facts)
        self._learn_time(shape, facts)

    def _kept_epochs(self, name: str, shape: Shape, lessons: int, least: float) -> float:
        """Epochs for which there is time, if as many lessons follow.

        They hang on the clock, so they are written down: a search with this budget that goes on
        gives the same lesson. Fewer than `least` are no lesson, and are asked for anew.
        """
        path = self._session.request.scratch / "epochs.json"
        known = read_json(path) if path.is_file() else {}
        key = f"{name}, {shape.label}, {digest_json([self._session.budget, asdict(shape)])[:12]}"
        if key in known:
            return float(known[key])
        epochs = self._epochs(shape, lessons)
        if epochs >= least:
            write_json(path, known | {key: epochs})
        return epochs

    def _finished(self, shape: Shape, epochs: float) -> list[Point]:
        """Give a shape its lesson and its forms."""
        path = self._path(shape, self.workshop.network(self.base))
        path = [*path, self._distil(shape, epochs)]
        say(f"  lesson of {epochs:g} epochs: {shape.label}")
        facts: dict[str, Any] = {}
        self.workshop.network(path, facts)
        self._learn_time(shape, facts)
        return self._formed(path, f"{shape.label}, taught {facts['epochs']:.3g} epochs")

    def _formed(self, path: list[Step], label: str) -> list[Point]:
        """A network in the best forms."""
        points: list[Point] = []
        for form in self.forms[:FINALIST_FORMS]:
            if not points or self._room(0):
                points += self._tried(path, form, label, points[0] if points else None)
        return points

    def _epochs(self, shape: Shape, lessons: int) -> float:
        """Epochs for which there is time, if as many lessons follow."""
        left = self._session.left - self._reserve
        return epochs_in(left, self.lesson_seconds * _share(shape, self._depth), lessons)

    def _learn_time(self, shape: Shape, facts: Mapping[str, Any]) -> None:
        """From the steps alone: a pilot is mostly what comes once."""
        steps = EVALUATED * float(facts["step_seconds"]) * facts["steps"]
        if steps > 0:
            self.lesson_seconds = steps / facts["epochs"] / _share(shape, self._depth)

    @property
    def _depth(self) -> int:
        return len(self.workshop.blocks(self._session.teacher))

    def _distil(self, shape: Shape, epochs: float) -> Step:
        """A lesson; where no layer is missing, at the teacher's own rate."""
        choice: dict[str, Any] = {"epochs": epochs, "layers": list(shape.layers)}
        if len(shape.layers) == self._depth:
            choice["rate"] = self._session.material.settings.learning_rate
        return _step("distil", **choice)


def _step(name: str, **choice: Any) -> Step:
    return {"pass": name, "choice": choice}


def _share_of(kept: Sequence[Sequence[int]], each: int, depth: int) -> float:
    """Share of all layers' heads or neurons that a shape keeps."""
    return sum(map(len, kept)) / (each * depth)


def _share(shape: Shape, depth: int) -> float:
    """A lesson's time against that of a network of all layers: the teacher's part is the same."""
    return 0.5 + 0.5 * len(shape.layers) / depth
