"""Digests, golden rows on this machine, licences of a bundle.

Every file is compared with its sha256 first; then the golden rows run through every variant whose
runtime is installed, and a compressed bundle's proof is repeated on its rows. Exit code 0 when all
holds, 3 otherwise.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from modelwright.cli.output import Answer

SHOWN = 5


def command(bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")]) -> Answer:
    """Verify one bundle."""
    from modelwright.package.verifying import verify

    found = verify(bundle)
    data = {
        "bundle": str(bundle),
        "version": found.version,
        "holds": found.holds,
        "variants": found.variants,
        "licences": found.licences,
        "proof": asdict(found.proof)
        | {"holds": found.proof.holds, "reasons": [found.proof.sentence]}
        if found.proof
        else None,
        "problems": [problem.as_dict() for problem in found.problems],
    }
    lines = [str(problem) for problem in found.problems[:SHOWN]]
    if len(found.problems) > SHOWN:
        lines.append(f"... and {len(found.problems) - SHOWN} more (--json lists all)")
    for name, rows in found.variants.items():
        lines.append(
            f"{name}: runtime not installed, not replayed"
            if rows is None
            else f"{name}: {rows} golden rows replayed"
        )
    if found.proof is not None and found.proof.holds:
        lines.append(found.proof.sentence)
    lines += found.licences
    lines.append(f"{bundle} ({found.version}): " + ("holds" if found.holds else "does NOT hold"))
    return Answer(data, "\n".join(lines), exit=0 if found.holds else 3)
