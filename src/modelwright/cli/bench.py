"""Speed of each variant of a bundle on this machine, or of the whole service.

Latency of 1, 8 and 32 rows at the lengths of the golden rows, measured in turn, and time from
opening the bundle to the first answer.

With --service the real service is started and asked more and more, at random times, until the 99th
percentile passes the promise: what one replica can do, for `mw deploy` and `mw simulate`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwright.cli.output import Answer, table
from modelwright.errors import UserError

if TYPE_CHECKING:
    from modelwright.artifacts.capacity import Capacity


def command(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    service: Annotated[bool, typer.Option("--service", help="Measure the service.")] = False,
    slo: Annotated[
        float | None,
        typer.Option(help="Promised 99th percentile, ms; default: the recipe's `serve.slo`."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the capacity into this file.")
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="Variant to serve instead of the bundle's default.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=2, max=3600, help="How long the load takes, about.")
    ] = 20.0,
) -> Answer:
    """Measure one bundle."""
    if service:
        return _service(bundle, slo, out, variant, seconds)
    given = {"--slo": slo, "--out": out, "--variant": variant}
    if wrong := [name for name, value in given.items() if value is not None]:
        raise UserError(
            "MW-805",
            f"{' and '.join(wrong)} without --service",
            expected="these options together with --service",
            fix=f"mw bench {bundle} --service",
        )
    from modelwright.package.benching import bench

    rows = bench(bundle)
    return Answer({"bundle": str(bundle), "variants": rows}, _table(rows))


def _service(
    bundle: Path, slo: float | None, out: Path | None, variant: str | None, seconds: float
) -> Answer:
    from dataclasses import asdict

    from modelwright.artifacts.bundle import read_bundle
    from modelwright.deploy.measuring import measure
    from modelwright.deploy.promises import promised_p99_ms

    promise, origin = promised_p99_ms(read_bundle(bundle), slo)
    capacity = measure(bundle, promise, seconds, variant)
    if out is not None:
        capacity.save(out)
    text = _capacity_table(capacity, origin)
    if out is not None:
        text += (
            f"\n\nwritten to {out}; next: mw deploy {bundle} --target kubernetes --capacity {out}"
        )
    return Answer(asdict(capacity), text)


def _capacity_table(capacity: Capacity, origin: str) -> str:
    rows = [("requests/s", "answered", "p50 ms", "p99 ms", "queue", "cores", "")]
    rows += [
        (
            f"{load.rate:,.1f}",
            f"{load.answered:.1%}",
            f"{load.p50_ms:.1f}",
            f"{load.p99_ms:.1f}",
            f"{load.queue:.1f}",
            f"{load.cpu:.2f}",
            "<- the most that keeps the promise" if load.rate == capacity.per_second else "",
        )
        for load in capacity.loads
    ]
    return (
        f"{capacity.bundle} {capacity.version} {capacity.variant} on {capacity.machine}, "
        f"{capacity.cores} cores\n"
        f"promise: p99 within {capacity.slo_p99_ms:g} ms ({origin})\n\n{table(rows, indent='  ')}\n\n"
        f"one replica answers {capacity.per_second:,.1f} requests a second within the promise, "
        f"takes {capacity.memory_mb:,.0f} MiB and is ready after {capacity.ready_seconds:.1f} s"
    )


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
