"""Order -> target -> folder: what `mw deploy` does.

Beside the target's files the folder keeps `capacity.json` and `policy.json`, from which the same files
can be written again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from modelwright import plugs
from modelwright.artifacts.bundle import read_bundle
from modelwright.artifacts.capacity import Capacity
from modelwright.deploy.ordering import Choices, ordered
from modelwright.deploy.policy import Policy
from modelwright.deploy.promises import promised_p99_ms
from modelwright.deploy.targets import Target
from modelwright.deploy.writing import write_files
from modelwright.errors import UserError
from modelwright.runtime.libraries import require_all
from modelwright.runtime.progress import say


@final
@dataclass(frozen=True)
class Deployed:
    """What was written.

    Attributes:
        files: paths relative to the folder.
        commands: sentences and commands, in order.
        said: what was measured and chosen on the way.
    """

    files: list[str]
    commands: list[tuple[str, str]]
    said: list[str]


def deploy(
    bundle: Path,
    target: str,
    out: Path,
    choices: Choices,
    *,
    force: bool = False,
) -> Deployed:
    """Write the files of one target.

    Args:
        bundle: its folder.
        target: name of the plug.
        out: folder; new, empty, or written by an earlier call.
        choices: what else was asked for.
        force: write over changes that were made by hand.

    Raises:
        UserError: MW-105 no such target; see `ordered`, `measure` and `write_files`.
    """
    plug = plugs.load("target", target)
    require_all(plug.requires)
    _refuse_inside(bundle, out)
    said: list[str] = []
    measured = _capacity(bundle, choices, said)
    place = plug.cls(plug.config())
    chosen = _policy(measured, choices.policy, place, said)
    order = ordered(bundle, measured, chosen, choices)
    files = dict(place.files(order))
    files["README.md"] = place.readme(order)
    files["capacity.json"] = _json(asdict(measured))
    files["policy.json"] = _json(asdict(chosen))
    return Deployed(write_files(out, files, force=force), place.commands(order), said)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _refuse_inside(bundle: Path, out: Path) -> None:
    if out.resolve().is_relative_to(bundle.resolve()):
        raise UserError(
            "MW-805",
            f"{out} lies in the bundle",
            expected="a folder outside it, for a bundle never changes",
            fix="choose another one: -o DIR",
        )


def _capacity(bundle: Path, choices: Choices, said: list[str]) -> Capacity:
    if choices.capacity is not None:
        return Capacity.load(choices.capacity)
    from modelwright.deploy.measuring import measure

    promise, origin = promised_p99_ms(read_bundle(bundle), choices.slo_p99_ms)
    say(f"no --capacity: one replica is measured on this machine, p99 {promise:g} ms ({origin})")
    measured = measure(bundle, promise)
    said.append(
        f"measured: {measured.per_second:,.1f} requests/s a replica, p99 within {promise:g} ms "
        f"({origin}); keep capacity.json and give it as --capacity to write the same again"
    )
    return measured


def _policy(capacity: Capacity, file: Path | None, place: Target, said: list[str]) -> Policy:
    """As the place follows it, so that what is written is what was played."""
    from modelwright.deploy import values

    if file is not None:
        return place.follows(values.policy(Policy.load(file)))
    from modelwright.deploy.simulating import best_policy

    found = best_policy(values.capacity(capacity), place.follows)
    said.append(
        f"policy found by simulation: {found.minimum} to {found.maximum} replicas, "
        f"{found.target:g} requests in flight each"
    )
    return found
