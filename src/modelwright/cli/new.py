"""Looks at data and writes a commented recipe for it.

    mw new tickets.csv                    writes recipe.yaml
    mw new DATA_FOLDER -o runs/a.yaml     finds train, validation and test files by name
    mw new hf://NAME --task text-classification

Finds the format, the columns, the likely task, the language and the balance of the classes. Where
it is not sure, the recipe says so in a comment. Asks nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelwright.cli.output import Answer
from modelwright.errors import UserError


def command(
    data: Annotated[str, typer.Argument(metavar="DATA", help="File, folder, glob or URL.")],
    task: Annotated[str | None, typer.Option(help="What to learn; `mw list tasks`.")] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where to write the recipe.")
    ] = Path("recipe.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> Answer:
    """Write a first recipe."""
    if output.exists() and not force:
        raise UserError(
            "MW-805",
            f"{output} exists already",
            expected="a new file",
            fix=f"name another with -o, or overwrite it: mw new {data} -o {output} --force",
        )
    from modelwright.pipeline.inspection.draft import as_dict, lines_for_people, recipe_text
    from modelwright.pipeline.inspection.looking import look
    from modelwright.recipe.check import check
    from modelwright.runtime.files import write_text

    seen = look(data, task)
    write_text(output, recipe_text(seen, output))
    check(output)
    lines = [*lines_for_people(seen), *(f"not sure: {doubt}" for doubt in seen.guess.doubts)]
    text = "\n".join([*lines, "", f"wrote {output}; next: mw plan {output}, mw run {output}"])
    return Answer({**as_dict(seen), "recipe": str(output)}, text)
