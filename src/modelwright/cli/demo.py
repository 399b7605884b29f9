"""The whole chain on sample data: train, prove, package, serve, ask.

Copies a recipe and a help desk's messages (25 intents) into a folder, runs the recipe, starts the
service on a free port, sends it a request, and tells how to go on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from modelwright.cli.output import Answer


def command(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for recipe and run.")
    ] = Path("modelwright-demo"),
    effort: Annotated[
        Literal["quick", "standard", "thorough"], typer.Option(help="The recipe's dial.")
    ] = "standard",
) -> Answer:
    """Run the demo."""
    from modelwright.pipeline.demo import demo

    data, text = demo(output, effort)
    return Answer(data, text)
