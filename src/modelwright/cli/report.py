"""Where the HTML report of a run is; `--open` shows it.

The report is written when a run ends, also when it failed; this command writes it anew from the
run's files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelwright.cli.output import Answer


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The run's folder.")],
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> Answer:
    """Find (and make anew) the report of one run."""
    from modelwright.errors import UserError
    from modelwright.pipeline.page import render

    if not (folder / "run.json").is_file():
        raise UserError(
            "MW-804",
            f"{folder} is not the folder of a run",
            expected="a folder with run.json in it",
            fix="name the folder that `mw run` printed, such as runs/NAME",
            file=str(folder),
        )
    page = render(folder)
    if show:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
    return Answer({"report": str(page)}, str(page))
