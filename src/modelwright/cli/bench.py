"""Speed of each variant of a bundle on this machine.

Latency of 1, 8 and 32 rows at the lengths of the golden rows, measured in turn, and time from
opening the bundle to the first answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from modelwright.cli.output import Answer


def command(bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")]) -> Answer:
    """Measure one bundle."""
    from modelwright.package.benching import bench

    rows = bench(bundle)
    return Answer({"bundle": str(bundle), "variants": rows}, _table(rows))


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'variant':<16}{'batch':>6}{'tokens':>8}{'p50 ms':>10}{'p95 ms':>10}{'rows/s':>10}"]
    for row in rows:
        if row.get("left_out"):
            lines.append(f"{row['name']:<16} {row['left_out']}")
            continue
        lines += [
            f"{row['name']:<16}{point['batch']:>6}{point['length']:>8}{point['p50_ms']:>10.2f}"
            f"{point['p95_ms']:>10.2f}{point['per_second']:>10.1f}"
            for point in row["speed"]
        ]
        lines.append(f"{row['name']:<16}opened and first answer in {row['first_answer_ms']:.0f} ms")
    return "\n".join(lines)
