"""Recorded traffic beside a bundle's reference: which signals moved, and how good the answers are.

    traffic ─▶ the last rows of this model ─┬▶ each signal: sketch, compare ─▶ p, scaled to the alarm
                                            ├▶ feedback: live quality
                                            └▶ scores: estimated quality

With m signals and c checks a day, a signal alarms below p = false alarms a day / (m c), so that a day
on which nothing moves stays silent with the probability that was asked for, whatever the dependence
of signals and of overlapping windows (Bonferroni).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.artifacts.bundle import read_bundle
from modelwright.artifacts.traffic import answered, plain_rows, read_latest
from modelwright.encoders.image import from_base64
from modelwright.errors import UserError
from modelwright.monitor.quality import Limits, Quality, estimated, live, told_of
from modelwright.monitor.reference import Reference, open_reference, signals, vectors_of
from modelwright.monitor.sample import Sample, answer_of, text_of
from modelwright.monitor.signals import Signal
from modelwright.monitor.sketches import Categories, Moved, Ordered, score

if TYPE_CHECKING:
    from modelwright.engines import Bundle

DAY_S = 86_400.0
LEAST_ROWS = 100
"""Below which nothing is said about a window."""
MOST_VECTORS = 2_000
EXAMPLES, LONGEST = 5, 200
MOST_TOLD, MOST_SEARCHED = 20_000, 200_000
"""True answers, and recorded ones among which theirs are looked for: they come late."""
MISSING = {
    "input": "inputs are not recorded (serve.record.inputs)",
    "vectors": "inputs are not recorded, or the variant gives no vectors",
    "answer": "no answer has it",
}
"""Why rows of a window don't have what a signal needs."""


@dataclass(frozen=True)
class MonitorRequest:
    """What to look at.

    Attributes:
        bundle: its folder.
        traffic: the folder that `mw serve --traffic` writes.
        rows: of the window, the last ones.
        since: seconds since 1970 before which rows don't count.
        every: seconds between checks.
        false_alarms: days out of one on which a check may alarm although nothing moved.
        tolerance: points below the test's interval at which quality is still in order.
        signals: names; None for all that suit the bundle.
        variant: that makes vectors; None for the bundle's default.
    """

    bundle: Path
    traffic: Path
    rows: int = 1_000
    since: float = 0.0
    every: float = 3_600.0
    false_alarms: float = 0.01
    tolerance: float = 2.0
    signals: Sequence[str] | None = None
    variant: str | None = None


@dataclass(frozen=True)
class Found:
    """One signal.

    Attributes:
        name: of the signal.
        title: in English and in Chinese.
        rows: of the window that have it.
        score: 1 is the alarm; 0 where it could not be compared.
        moved: the comparison; None where there was none.
        missing: why there was none, "" where there was.
        examples: inputs where it differs most.
        shares: rows of the reference and of the window, by category or from edge to edge.
        ordered: whether they go from edge to edge.
    """

    name: str
    title: tuple[str, str]
    rows: int
    score: float
    moved: Moved | None
    missing: str
    examples: tuple[str, ...]
    shares: tuple[tuple[str, float, float], ...]
    ordered: bool = False

    @property
    def alarms(self) -> bool:
        return self.score >= 1.0


@dataclass(frozen=True)
class Findings:
    """What a check found.

    Attributes:
        model: name.
        version: of the bundle.
        rows: of the window.
        begin: time of its first row, seconds since 1970.
        end: of its last row.
        alpha: p-value below which a signal alarms.
        signals: all of them.
        live: by feedback.
        estimate: by confidence.
    """

    model: str
    version: str
    rows: int
    begin: float
    end: float
    alpha: float
    signals: tuple[Found, ...]
    live: tuple[Quality, ...]
    estimate: Quality | None

    @property
    def alarms(self) -> list[str]:
        """Signals that moved, and metrics that fell."""
        moved = [one.name for one in self.signals if one.alarms]
        return moved + [one.metric for one in self.live if one.broken]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**asdict(self), "alarms": self.alarms}


def run(request: MonitorRequest, opened: Bundle | None = None) -> Findings:
    """Check the last rows of a bundle's traffic.

    Args:
        opened: the bundle, where it is open already.

    Raises:
        UserError: MW-601 or MW-612 for the bundle; MW-611 where there are too few rows of it.
    """
    from modelwright.engines import Bundle

    manifest = read_bundle(request.bundle)
    reference = open_reference(request.bundle, _modality(manifest))
    rows = rows_of(request, manifest)
    needed = any(signal.needs == "vectors" for signal in signals(_modality(manifest)).values())
    mine = opened
    if mine is None and needed and any(row["input"] is not None for row in rows):
        mine = Bundle.open(request.bundle, request.variant)
    try:
        sample = _sample(rows, reference, mine)
    finally:
        if mine is not None and opened is None:
            mine.close()
    found, alpha = examine(sample, reference, request)
    return Findings(
        model=manifest["name"],
        version=manifest["version"],
        rows=len(rows),
        begin=rows[0]["time"] / 1000,
        end=rows[-1]["time"] / 1000,
        alpha=alpha,
        signals=found,
        live=tuple(_live(request, manifest, alpha)),
        estimate=estimated(manifest, reference.reliability, sample.answers, request.tolerance),
    )


def _live(request: MonitorRequest, manifest: Mapping[str, Any], alpha: float) -> list[Quality]:
    """By feedback; answers that are older than the window count, too."""
    kept = read_latest(request.traffic, "feedback", MOST_TOLD, request.since)
    told = told_of(plain_rows(kept))
    if not told:
        return []
    among = read_latest(
        request.traffic, "requests", MOST_SEARCHED, 0.0, manifest["name"],
        columns=("time", "request_id", "index", "model", "version", "prediction"),
    )  # fmt: skip
    answers = {
        (row["request_id"], row["index"]): answer_of(row["prediction"])
        for row in plain_rows(answered(among, {place[0] for place in told}))
        if row["version"] == manifest["version"]
    }
    return live(manifest, answers, told, Limits(request.tolerance, alpha, request.rows))


def rows_of(request: MonitorRequest, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The window: recorded rows of this version, `input` and `prediction` restored.

    Raises:
        UserError: MW-611 with too few.
    """
    if not request.traffic.is_dir():
        raise _too_few(request, f"{request.traffic} is no folder")
    name, version = manifest["name"], manifest["version"]
    kept = read_latest(request.traffic, "requests", 4 * request.rows, request.since, name)
    rows = plain_rows(kept)
    mine = [row for row in rows if row["version"] == version][-request.rows :]
    if len(mine) < LEAST_ROWS:
        others = sorted({str(row["version"]) for row in rows} - {version})
        beside = f"; there are rows of {', '.join(others[:3])}" if others else ""
        seen = f"{request.traffic} holds {len(mine)} recorded answers of {name} {version}{beside}"
        raise _too_few(request, seen)
    for row in mine:
        row["prediction"] = answer_of(row["prediction"])
        row["input"] = _input_of(row["input"], _modality(manifest))
    return mine


def _too_few(request: MonitorRequest, seen: str) -> UserError:
    return UserError(
        "MW-611",
        seen,
        expected=f"at least {LEAST_ROWS} that `mw serve --traffic` recorded since then",
        fix="allow it in the recipe (serve: {record: {share: 1.0, inputs: true}}), package again, and "
        f"serve with --traffic {request.traffic}",
    )


def _input_of(kept: str | None, modality: str) -> Any:
    """What was sent; None where it was not recorded or cannot be read."""
    try:
        found = None if kept is None else json.loads(kept)
        if modality == "image" and found is not None:
            return from_base64(str(found.get("image") if isinstance(found, dict) else found))
        return found
    except (ValueError, AttributeError, TypeError):
        return None


def _modality(manifest: Mapping[str, Any]) -> str:
    return "image" if str(manifest["task"]).startswith("image") else "text"


def _sample(
    rows: Sequence[Mapping[str, Any]], reference: Reference, bundle: Bundle | None
) -> Sample:
    inputs = [row["input"] for row in rows]
    answers = [row["prediction"] for row in rows]
    known = [at for at, item in enumerate(inputs) if item is not None][-MOST_VECTORS:]
    if bundle is not None:
        known = [at for at in known if bundle.fault(inputs[at]) is None]
    vectors = vectors_of(bundle, [inputs[at] for at in known]) if bundle is not None else None
    return Sample(inputs, answers, reference.known, vectors, known if vectors is not None else ())


def examine(
    sample: Sample, reference: Reference, request: MonitorRequest
) -> tuple[tuple[Found, ...], float]:
    """Every signal of a sample beside the reference, and the p-value below which one alarms."""
    wanted = {
        name: signal
        for name, signal in signals("image" if _pictures(reference) else "text").items()
        if name in reference.sketches and name in (request.signals or reference.sketches)
    }
    counted = {name: (one, one.values(sample)) for name, one in wanted.items()}
    windows = {name: one.sketch(values) for name, (one, values) in counted.items()}
    alpha = limit(request, sum(window.rows > 0 for window in windows.values()))
    found = [
        _looked(name, *counted[name], windows[name], (sample, reference, alpha)) for name in wanted
    ]
    return tuple(sorted(found, key=lambda one: (-one.score, one.name))), alpha


def limit(request: MonitorRequest, compared: int) -> float:
    """The p-value below which one of so many signals alarms; quality by feedback is one more."""
    checks = max(1.0, DAY_S / max(1.0, request.every))
    return request.false_alarms / (checks * (compared + 1))


def _pictures(reference: Reference) -> bool:
    return "brightness" in reference.sketches


def _looked(
    name: str,
    signal: Signal,
    values: Any,
    window: Ordered | Categories,
    beside: tuple[Sample, Reference, float],
) -> Found:
    sample, reference, alpha = beside
    mine = reference.sketches[name]
    if not window.rows:
        return Found(name, signal.title, 0, 0.0, None, MISSING[signal.needs], (), ())
    moved: Moved = mine.moved(window)  # type: ignore[arg-type]
    reached = score(moved.p, alpha)
    examples: list[str] = []
    if reached >= 1.0:
        places = signal.inside(values, moved)
        texts = [text_of(sample.inputs[at]) for at in places]
        distinct = dict.fromkeys(text for text in texts if text)
        examples = [text[:LONGEST] for text in list(distinct)[:EXAMPLES]]
    shares = tuple(mine.beside(window))  # type: ignore[arg-type]
    return Found(
        name, signal.title, window.rows, reached, moved, "", tuple(examples), shares,
        isinstance(mine, Ordered),
    )  # fmt: skip
