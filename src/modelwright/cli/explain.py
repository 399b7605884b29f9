"""Every value of a recipe with its origin, or what an error code means.

mw explain recipe.yaml            a table: key, value, origin
mw explain recipe.yaml --yaml     the complete recipe with comments
mw explain MW-101                 the meaning, a wrong and a right example
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from modelwright.cli.output import Answer, table

_CODE = re.compile(r"(MW[-_]?)?\d{3}", re.IGNORECASE)


def command(
    what: Annotated[str, typer.Argument(metavar="RECIPE|CODE", help="A recipe or an error code.")],
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a value; may be repeated."),
    ] = None,
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="As a recipe with comments instead of a table.")
    ] = False,
) -> Answer:
    """Explain a recipe or a code."""
    if what.upper().startswith("MW-") or (_CODE.fullmatch(what) and not Path(what).exists()):
        return _code(what)
    from modelwright.recipe.check import check_with_places
    from modelwright.recipe.explain import explain_as_yaml, explain_recipe

    checked = check_with_places(what, sets or ())
    rows = explain_recipe(checked)
    cells = [(row["path"], row["shown"] or "-", row["origin"]) for row in rows]
    text = explain_as_yaml(checked) if as_yaml else table(cells)
    values = [{key: row[key] for key in ("path", "value", "origin", "about")} for row in rows]
    return Answer({"recipe": what, "values": values}, text.rstrip())


def _code(code: str) -> Answer:
    from modelwright.recipe.explain import code_text, explain_code

    explained = explain_code(code)
    return Answer(dict(explained), code_text(explained))
