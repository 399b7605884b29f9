"""Does the proof of a compressed bundle hold on this machine? The test is run again to find out.

The instruction set and the libraries that the proof was made with are compared with those at hand;
whatever they are, the certification rows in the bundle go through the chosen variant once more, and
the drop is bounded anew against the answers that the uncompressed model gave then.
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.encoders import open_encoder
from modelwright.engines import Bundle
from modelwright.engines._bundle import TOKENIZER
from modelwright.engines._latency import again, calls, race
from modelwright.errors import Problem
from modelwright.metrics.evidence import Evidence
from modelwright.metrics.noninferiority import noninferiority
from modelwright.recipe.schema import CallShape
from modelwright.runtime.libraries import installed, versions
from modelwright.runtime.machine import describe

ROWS = "proof/rows.jsonl"
RUNS, SECONDS = 200, 20.0
"""Of the race, each of the two forms."""
MOST_CALLS = 12
"""Of the proof's calls, spread over their lengths, that are raced again."""
SHORTEST = 3
"""Tokens: two special ones, and one of text."""
WATCHED = ("openvino", "onnxruntime", "torch", "tokenizers", "numpy")
"""Libraries that can change an answer."""


@dataclass
class Reproof:
    """What came of it.

    Attributes:
        differs: what is not as it was where the proof was made, in words.
        proven_on: the processor of the proof.
        missing: the chosen variant's runtime, where it is not installed here.
        rows: rows that were run again; 0 where the bundle holds none.
        drop_points: found here.
        bound_points: its one-sided 95% bound, found here.
        max_drop: what the bundle promises.
        same: share of rows whose answer is the one recorded.
        proven_ratio: how many times faster than the uncompressed model it was shown to be.
        speed: the same race here, shorter: `ratio`, `low`, `high`, `runs`, both medians; None where
            the uncompressed model's runtime is not installed.
    """

    differs: list[str] = field(default_factory=list)
    proven_on: str = ""
    missing: str = ""
    rows: int = 0
    drop_points: float | None = None
    bound_points: float | None = None
    max_drop: float = 0.0
    same: float | None = None
    proven_ratio: float = 0.0
    speed: dict[str, float] | None = None

    @property
    def holds(self) -> bool:
        """Shown again here; or not run again, on a machine like the one it was shown on."""
        if self.bound_points is not None:
            return self.bound_points <= self.max_drop
        return not self.differs and not self.missing

    @property
    def sentence(self) -> str:
        """For people."""
        here = f"here {', '.join(self.differs)}" if self.differs else "here all is alike"
        return (
            f"the compression was proven on {self.proven_on}; {here}: {self._again}{self._faster}"
        )

    @property
    def _faster(self) -> str:
        """What came of repeating the race."""
        if self.speed is None:
            return ""
        return (
            f"; {self.speed['ratio']:.3g} times as fast as the uncompressed model here "
            f"({self.speed['low']:.3g} to {self.speed['high']:.3g}), {self.proven_ratio:.3g} there"
        )

    @property
    def _again(self) -> str:
        """What came of repeating the test."""
        if self.missing:
            return f"{self.missing} is not installed, so the test could not be repeated"
        if self.bound_points is None:
            carries = "" if self.holds else "; the proof does not carry over"
            return f"its rows are not in the bundle, so the test could not be repeated{carries}"
        verb = "holds" if self.holds else "does NOT hold"
        return (
            f"the test was repeated on {self.rows:,} rows and {verb} (bound "
            f"{self.bound_points:.2f} points, {self.max_drop:g} promised; "
            f"{100 * (self.same or 0.0):.2f}% of the rows answer as recorded)"
        )

    def problem(self, folder: Path) -> Problem | None:
        """MW-607 where the proof does not hold here."""
        if self.holds:
            return None
        return Problem(
            code="MW-607",
            seen=self.sentence,
            expected=f"a drop of at most {self.max_drop:g} points, as where it was packaged",
            fix=f'pip install "modelwright[{self.missing}]"'
            if self.missing
            else "compress again on this kind of machine (`mw run` with the recipe), or serve the "
            "uncompressed variant",
            file=str(folder / ROWS),
        )


def prove_again(folder: Path, manifest: dict[str, Any]) -> Reproof | None:
    """Repeat a bundle's test; None where it was not compressed or its proof was never reached."""
    told = manifest.get("compression")
    if not told or told.get("status") != "met":
        return None
    found = Reproof(
        _differences(told["proof"]),
        proven_on=str(told["machine"]["processor"]),
        max_drop=float(told["request"]["max_drop"]),
        proven_ratio=float(told["proof"]["latency"]["ratio"]),
    )
    engine = next(v["engine"] for v in manifest["variants"] if v["name"] == manifest["default"])
    if not installed(engine):
        found.missing = engine
    path = folder / ROWS
    if found.missing or not path.is_file():
        return found
    bundle = Bundle.open(folder)
    lines = _read(path, bundle)
    inputs = [line["input"] for line in lines]
    features = bundle.encode(inputs)
    logits = bundle.logits(features)
    rows = [line["row"] for line in lines]
    ours = bundle.task.evidence(rows, logits, features)
    seed = int(told["proof"]["test"].get("seed", 0))  # bundles of before told none
    drop = noninferiority(_baseline(folder, manifest, bundle, lines), ours, seed=seed)
    found.rows = len(lines)
    found.drop_points = round(100 * drop.drop, 4)
    found.bound_points = round(100 * drop.bound, 4)
    found.same = _same(bundle, lines, logits, features)
    found.speed = _raced(bundle, inputs, told["shapes"])
    bundle.close()
    return found


def _read(path: Path, bundle: Bundle) -> list[dict[str, Any]]:
    """The proof's rows; images as the files that they were."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if bundle.task.modality == "image":
        for line in lines:
            line["input"] = base64.b64decode(line["input"])
    return lines


def _raced(
    bundle: Bundle, inputs: list[Any], shapes: list[dict[str, Any]]
) -> dict[str, float] | None:
    """The chosen variant against the uncompressed one in torch, on calls like the proof's."""
    torch = [one["name"] for one in bundle.manifest["variants"] if one["engine"] == "torch"]
    torch = [name for name in torch if name != bundle.variant["name"]]
    if not torch or not installed("torch"):
        return None
    whole = Bundle.open(bundle.folder, torch[0])
    wanted = [
        CallShape(batch=each["batch"], weight=each["weight"], length=_length(each))
        for each in shapes[:: math.ceil(len(shapes) / MOST_CALLS)]
    ]
    probe = calls(wanted, inputs, bundle)
    found = race((whole, again(probe, whole)), (bundle, probe), RUNS, SECONDS)
    whole.close()
    return found


def _length(shape: dict[str, Any]) -> int | None:
    """Tokens of a call; None for images."""
    return int(shape["length"]) if shape["length"] >= SHORTEST else None


def _differences(proof: dict[str, Any]) -> list[str]:
    """Instruction sets and libraries that are not as they were."""
    found: list[str] = []
    flags = set(describe()["flags"])  # type: ignore[call-overload]
    if missing := sorted(set(proof["flags"]) - flags):
        found.append(f"without {', '.join(missing)}")
    if more := sorted(flags - set(proof["flags"])):
        found.append(f"with {', '.join(more)}")
    here = versions(*WATCHED)
    for name in WATCHED:
        before = proof["versions"].get(name)
        if before and here.get(name) and here[name] != before:
            found.append(f"{name} {here[name]} instead of {before}")
    return found


def _baseline(
    folder: Path, manifest: dict[str, Any], bundle: Bundle, lines: list[dict[str, Any]]
) -> Evidence:
    """The uncompressed model's recorded answers, read with its own encoder."""
    encoder = bundle.encoder
    for entry in manifest["variants"]:
        own = folder / "variants" / entry["name"] / TOKENIZER
        if entry["name"] != manifest["default"] and own.is_dir():
            encoder = open_encoder(own)
    features = bundle.task.encode([line["input"] for line in lines], encoder)
    logits = [np.array(one, np.float32) for line in lines for one in line["baseline"]]
    return bundle.task.evidence([line["row"] for line in lines], logits, features)


def _same(bundle: Bundle, lines: list[dict[str, Any]], logits: Any, features: Any) -> float:
    """Share of rows whose answer is the recorded one."""
    recorded = [np.array(one, np.float32) for line in lines for one in line["answer"]]
    then = bundle.task.decode(recorded, features)
    return round(bundle.task.agreement(then, bundle.task.decode(logits, features)), 6)
