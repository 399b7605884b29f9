"""Run a recipe: data, training, evaluation, bundle; resumes by itself.

The result is in `runs/NAME` beside the recipe, or in DIR. Stages whose inputs did not change are
taken from the store. A run that was cut off goes on with the same command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from modelwright.cli.output import Answer


def command(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="The run's folder.")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a value; may be repeated."),
    ] = None,
    until: Annotated[
        Literal["data", "finetune", "compress", "evaluate", "package"],
        typer.Option(help="Last stage to run."),
    ] = "package",
) -> Answer:
    """Run one recipe."""
    from modelwright.pipeline.running import run, summary

    done = run(recipe, output, sets=tuple(sets or ()), until=until)
    data, text = summary(done)
    return Answer(data, text)
