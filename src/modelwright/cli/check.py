"""Every mistake in a recipe, each with its line and the edit that fixes it.

Reads the recipe and looks whether its files are there; imports nothing heavy, reads no data and
asks no hub.
Exit code 0 when there is no mistake, 2 otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelwright.cli.output import Answer
from modelwright.errors import UserError


def command(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML file.")],
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a value; may be repeated."),
    ] = None,
) -> Answer:
    """Check one recipe."""
    from modelwright.recipe.check import check

    checked = check(recipe, sets or (), _judge_base)
    data = {"recipe": str(recipe), "name": checked.name, "task": checked.task.name, "problems": []}
    return Answer(data, f"{recipe}: no mistakes ({checked.task.name})")


def _judge_base(name: str, modality: str, folder: Path) -> None:
    """Is it in the catalogue, a folder, a scratch size, or at least shaped like a hub id?"""
    from modelwright.models.catalogue import CATALOGUE

    if name in CATALOGUE:
        entry = CATALOGUE[name]
        if entry.modality != modality:
            fitting = [other.name for other in CATALOGUE.values() if other.modality == modality]
            raise UserError(
                "MW-302",
                f"the base `{name}` reads {entry.modality}, and the task reads {modality}",
                expected=f"a base for {modality}",
                fix=f"write one of {', '.join([*fitting, 'scratch:small'])}",
            )
    elif name.count("/") != 1 or (folder / name).is_dir():
        from modelwright.models.bases import resolve

        resolve(name, modality, folder)
