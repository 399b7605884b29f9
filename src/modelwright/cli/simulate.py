"""Replicas, waiting, failures and cost of a scaling policy, before it is paid for.

Plays policies on a trace of traffic with the measured capacity of one replica, and names the cheapest
that answers nearly all in time: 99 of 100 requests, none failed.

`mw simulate --capacity capacity.json --trace spike --out policy.json`
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwright.cli.output import Answer

if TYPE_CHECKING:
    from modelwright.deploy.policy import Policy


def command(
    bundle: Annotated[
        Path | None, typer.Argument(help="A bundle to measure, without --capacity.")
    ] = None,
    capacity: Annotated[
        Path | None, typer.Option(help="What `mw bench BUNDLE --service --out FILE` measured.")
    ] = None,
    trace: Annotated[
        str, typer.Option(help="standard, wave, spike, ramp, step; a CSV; recorded traffic.")
    ] = "standard",
    peak: Annotated[
        float | None,
        typer.Option(min=0.001, help="Requests a second at the top; default: six replicas' worth."),
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="Play this one, too.")] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", "-t", help="Play them as this place follows them, as `ray`."),
    ] = None,
    cores: Annotated[
        float | None,
        typer.Option(min=0.1, help="All replicas share these cores of one machine."),
    ] = None,
    price: Annotated[float, typer.Option(min=0, help="Of a replica for an hour.")] = 0.0,
    out: Annotated[Path | None, typer.Option(help="Write the best policy there.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the curves as an HTML page.")] = None,
) -> Answer:
    """Compare policies on a trace."""
    from modelwright.deploy import simulating, values
    from modelwright.deploy.policy import Policy
    from modelwright.deploy.simulated_page import write_page
    from modelwright.deploy.traces import find_trace

    measured = _capacity(bundle, capacity)
    top = peak or simulating.PEAK_REPLICAS * measured.per_second
    played = find_trace(trace, top)
    if peak is not None:
        played = played.scaled(peak)
    shared, follow = simulating.Shared(cores or math.inf), _follow(target)

    def play(one: Policy) -> simulating.Simulated:
        return simulating.simulate(measured, played, follow(one), price, shared)

    best, _ = simulating.best(measured, played, price, shared, follow)
    named = {"best": best, "fixed": play(simulating.fixed(measured, played))}
    if policy is not None:
        named["yours"] = play(values.policy(Policy.load(policy)))
    if out is not None:
        best.policy.save(out)
    if report is not None:
        write_page(report, named, measured.slo_p99_ms, played.name)
    data = {
        "trace": {"name": played.name, "seconds": played.seconds, "peak": played.peak},
        "policies": {name: one.as_dict() for name, one in named.items()},
    }
    return Answer(data, _table(named, out, report))


def _capacity(bundle: Path | None, file: Path | None) -> Any:
    from modelwright.artifacts.bundle import read_bundle
    from modelwright.artifacts.capacity import Capacity
    from modelwright.deploy.measuring import measure
    from modelwright.deploy.promises import promised_p99_ms
    from modelwright.errors import UserError

    if file is not None:
        return Capacity.load(file)
    if bundle is None:
        raise UserError(
            "MW-805",
            "neither a bundle nor --capacity was given",
            expected="what one replica can do: measured, or to be measured",
            fix="mw simulate BUNDLE, or mw simulate --capacity capacity.json",
        )
    return measure(bundle, promised_p99_ms(read_bundle(bundle), None)[0])


def _follow(target: str | None) -> Callable[[Policy], Policy]:
    """How a place follows a policy; to the letter where none was named."""
    if target is None:
        return lambda policy: policy
    from modelwright import plugs

    plug = plugs.load("target", target)
    return plug.cls(plug.config()).follows


def _table(named: dict[str, Any], out: Path | None, report: Path | None) -> str:
    from modelwright.cli.output import table

    rows = [("policy", "replicas", "target", "down after", "in time", "failed", "hours", "cost")]
    for name, one in named.items():
        policy = one.policy
        rows.append(
            (
                name,
                f"{policy.minimum} to {policy.maximum}",
                f"{policy.target:g}",
                f"{policy.down_seconds:g} s",
                f"{one.in_time:.2%}",
                f"{one.failed:,.0f}",
                f"{one.replica_hours:,.1f}",
                f"{one.cost:,.2f}",
            )
        )
    lines = [table(rows)]
    lines += [f"policy  {out}"] if out is not None else []
    lines += [f"page  {report}"] if report is not None else []
    return "\n".join(lines)
