"""What a registry holds: versions, stages, and who did what when; moves a stage.

mw models s3://models                                    every model
mw models s3://models intents                            its versions and history
mw models s3://models --set intents:3f2a=production      gives a version a stage
"""

from __future__ import annotations

from typing import Annotated

import typer

from modelwright.cli.output import Answer, table
from modelwright.errors import UserError


def command(
    url: Annotated[str, typer.Argument(help="The registry.")],
    name: Annotated[str | None, typer.Argument(help="Of one model.")] = None,
    move: Annotated[
        str | None,
        typer.Option("--set", metavar="NAME:VERSION=STAGE", help="Give a version a stage."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; kept in the history.")] = "",
) -> Answer:
    """List a registry or move a stage."""
    from modelwright.registry.store import Model, as_dict, models, stages_of

    if move is not None:
        return _move(url, move, reason)
    found = models(url, name)

    def stage_of(model: Model, version: str) -> str:
        return next((s for s, v in stages_of(model.history).items() if v == version), "")

    rows = [
        (
            f"{model.name}:{one.version}",
            stage_of(model, one.version) or "-",
            f"{one.quality['name']} {one.quality['value']:.4f}" if one.quality else "-",
            "signed" if one.signed else "not signed",
            one.pushed,
            one.by,
        )
        for model in found
        for one in model.versions
    ]
    lines = [table(rows) or "the registry is empty"]
    if name is not None:
        events = [
            (event.at, event.what, event.version, event.stage or "-", event.by, event.reason)
            for model in found
            for event in model.history
        ]
        lines += ["", table(events)]
    return Answer({"models": [as_dict(one) for one in found]}, "\n".join(lines))


def _move(url: str, move: str, reason: str) -> Answer:
    from modelwright.registry.store import set_stage

    reference, _, stage = move.partition("=")
    name, _, version = reference.partition(":")
    if not (name and version and stage):
        raise UserError(
            "MW-805",
            f"--set {move!r:.80} cannot be understood",
            expected="NAME:VERSION=STAGE",
            fix="mw models URL lists names and versions; stages are candidate, canary, production",
        )
    event, before = set_stage(url, name, version, stage, reason=reason)
    was = f", before that {before}" if before and before != event.version else ""
    data = {"name": name, "version": event.version, "stage": stage, "before": before}
    return Answer(data, f"{name}:{event.version} is in {stage}{was}")
