"""Stages, what is cached, predicted minutes, memory and disk, advice on the base model.

Reads a sample of the data and takes a few training steps on this machine, which needs some
seconds; nothing is written but what planning can use again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelwright.cli.output import Answer


def command(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.")],
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a value; may be repeated."),
    ] = None,
) -> Answer:
    """Plan one recipe."""
    from modelwright.pipeline.advice import plan

    data, text = plan(recipe, tuple(sets or ()))
    return Answer(data, text)
