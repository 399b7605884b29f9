"""Is this the bundle that was proven, and does it answer here as it did there?"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelwright.artifacts.bundle import changed_files, read_bundle
from modelwright.engines import Bundle
from modelwright.errors import Problem
from modelwright.package.reproving import Reproof, prove_again
from modelwright.runtime.libraries import installed

FREE = {"apache-2.0", "mit", "bsd-3-clause", "bsd-2-clause", "cc0-1.0", "cc-by-4.0", "yours"}


@dataclass
class Verification:
    """What was checked.

    Attributes:
        version: of the bundle.
        problems: changed files and golden rows that answer differently.
        variants: golden rows replayed by variant; None where its runtime is not installed.
        licences: remarks on licences.
        proof: what came of repeating the compression's test; None where nothing was compressed.
    """

    version: str
    problems: list[Problem] = field(default_factory=list)
    variants: dict[str, int | None] = field(default_factory=dict)
    licences: list[str] = field(default_factory=list)
    proof: Reproof | None = None

    @property
    def holds(self) -> bool:
        return not self.problems


def verify(folder: Path) -> Verification:
    """Check digests first; only files that are whole are opened.

    Raises:
        UserError: MW-601 when the folder is no bundle.
    """
    manifest = read_bundle(folder)
    found = Verification(manifest["version"])
    found.problems = changed_files(folder, manifest)
    found.licences = _licences(manifest)
    if found.problems:
        return found
    for entry in manifest["variants"]:
        if entry["engine"] != "onnxruntime" and not installed(entry["engine"]):
            found.variants[entry["name"]] = None
            continue
        problems, rows = replay(folder, entry["name"])
        found.problems.extend(problems)
        found.variants[entry["name"]] = rows
    found.proof = prove_again(folder, manifest)
    if found.proof is not None and (problem := found.proof.problem(folder)):
        found.problems.append(problem)
    return found


def replay(folder: Path, variant: str) -> tuple[list[Problem], int]:
    """Golden rows through one variant: problems, and how many rows were replayed."""
    bundle = Bundle.open(folder, variant)
    golden = list(read_golden(folder))
    inputs = [_given(bundle, row["input"]) for row in golden]
    answers = [bundle.predict([given])[0] for given in inputs]
    bundle.close()
    problems: list[Problem] = []
    for number, (row, answer) in enumerate(zip(golden, answers, strict=True)):
        expected = row["outputs"].get(variant, row["output"])
        if why := difference(expected, answer, row["tolerance"]["score"]):
            problems.append(
                Problem(
                    code="MW-603",
                    seen=f"golden row {number} through {variant}: {why}",
                    expected=json.dumps(_short(expected), ensure_ascii=False),
                    fix="compare processor and library versions with bundle.json's lineage; "
                    "package anew on this kind of machine if they differ",
                    file=str(folder / "golden.jsonl"),
                    line=number + 1,
                )
            )
    return problems, len(golden)


def read_golden(folder: Path) -> Iterator[dict[str, Any]]:
    """The golden rows of a bundle."""
    with (folder / "golden.jsonl").open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def difference(expected: Any, answer: Any, tolerance: float) -> str:
    """Why two answers are not the same, or nothing; fractions may differ by `tolerance`."""
    if isinstance(expected, dict) and isinstance(answer, dict):
        for key in expected:
            if why := difference(expected[key], answer.get(key), tolerance):
                return f"{key}: {why}"
        return ""
    if isinstance(expected, list) and isinstance(answer, list):
        if len(expected) != len(answer):
            return f"{len(answer)} instead of {len(expected)}"
        pairs = zip(expected, answer, strict=True)
        return next((why for a, b in pairs if (why := difference(a, b, tolerance))), "")
    if isinstance(expected, float) and isinstance(answer, (int, float)):
        near = abs(expected - answer) <= tolerance * max(1.0, abs(expected))
        return "" if near else f"{answer} instead of {expected}"
    return "" if expected == answer else f"{answer!r} instead of {expected!r}"


def _short(answer: Any) -> Any:
    return (
        {k: v for k, v in answer.items() if k != "scores"} if isinstance(answer, dict) else answer
    )


def _given(bundle: Bundle, shown: Any) -> Any:
    image = bundle.task.modality == "image"
    return base64.b64decode(shown) if image else shown


def _licences(manifest: dict[str, Any]) -> list[str]:
    licence = str(manifest.get("base", {}).get("licence", "unknown"))
    base = manifest.get("base", {}).get("id", "unknown")
    if licence.lower() in FREE:
        return [f"base {base}: {licence}"]
    return [f"base {base}: {licence}; check that your use is allowed"]
