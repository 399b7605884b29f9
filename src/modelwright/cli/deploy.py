"""Files for a place to run: an image, a compose file, a cluster, a cloud, a machine.

mw deploy BUNDLE --target kubernetes -o DIR --capacity capacity.json

Requests, limits, numbers of replicas and scaling targets come from what one replica was measured to
do (`mw bench BUNDLE --service`) and from a policy (`mw simulate`); without these files the first is
measured here and the second is chosen by simulation. The arithmetic stands in the files. DIR gets a
README of three commands. `mw list targets` tells the places.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelwright.cli.output import Answer


def command(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    target: Annotated[str, typer.Option("--target", "-t", help="`mw list targets`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the files.")],
    capacity: Annotated[
        Path | None, typer.Option(help="What `mw bench BUNDLE --service --out FILE` wrote.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="What `mw simulate BUNDLE --out FILE` wrote.")
    ] = None,
    slo: Annotated[
        float | None,
        typer.Option(help="Promised 99th percentile, ms; default: the capacity's, the recipe's."),
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="What the image is called; default NAME:VERSION.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(help="Of a cluster; default modelwright.")
    ] = None,
    alerts: Annotated[
        str | None, typer.Option(help="Address that alerts are posted to, as `mw renew --listen`.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Libraries beside the image, for builds without net.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files that were changed by hand.")
    ] = False,
) -> Answer:
    """Write the files."""
    from modelwright.deploy import deploy
    from modelwright.deploy.ordering import Choices

    choices = Choices(slo, image, namespace, offline, alerts, capacity, policy)
    done = deploy(bundle, target, out, choices, force=force)
    steps = "\n".join(f"  {line}" for _, said in done.commands for line in said.split("\n"))
    return Answer(
        {"target": target, "folder": str(out), "files": done.files,
         "commands": [said for _, said in done.commands], "notes": done.said},
        "\n".join([*done.said, f"{len(done.files)} files in {out}; next, in that folder:", steps]),
    )  # fmt: skip
