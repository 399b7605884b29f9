"""The parts there are: tasks, sources, cleaners, methods, suites, formats, engines, passes, ...

mw list             every kind with its parts
mw list tasks       one kind, each part with its first line
mw list tasks NAME  one part: its reference and its options
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from modelwright import plugs
from modelwright.cli.output import Answer, table
from modelwright.errors import UserError, did_you_mean


def command(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help="tasks, sources, cleaners, ...")
    ] = None,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One part.")] = None,
) -> Answer:
    """List parts."""
    if kind is None:
        found = {plural(known): plugs.names(known) for known in plugs.KINDS}
        rows = [(known, ", ".join(names) or "-") for known, names in found.items()]
        return Answer({"kinds": found}, table(rows))
    known = _kind(kind)
    if name is not None:
        return _one(known, name)
    parts = {part: plugs.summary(known, part) for part in plugs.names(known)}
    return Answer({"kind": plural(known), "parts": parts}, table(list(parts.items())))


def plural(kind: str) -> str:
    """`task` to `tasks`, `family` to `families`, `pass` to `passes`."""
    if kind.endswith("s"):
        return kind + "es"
    return kind[:-1] + "ies" if kind.endswith("y") else kind + "s"


def _kind(text: str) -> str:
    kinds = {name: kind for kind in plugs.KINDS for name in (kind, plural(kind))}
    if text not in kinds:
        known = [plural(kind) for kind in plugs.KINDS]
        raise UserError(
            "MW-805",
            f"there is no kind of part named `{text}`",
            expected=f"one of {', '.join(known)}",
            fix=did_you_mean(text, known),
        )
    return kinds[text]


def _one(kind: str, name: str) -> Answer:
    plug = plugs.load(kind, name)
    fields = getattr(plug.module, "Config", None)
    options: dict[str, Any] = {}
    rows: list[tuple[str, ...]] = []
    for option, info in (fields.model_fields if fields else {}).items():
        from modelwright.recipe import expect
        from modelwright.recipe.emit import inline

        expected = expect.sentence(expect.choices(info.annotation, tuple(info.metadata)))
        required = info.is_required()
        default = None if required else info.get_default(call_default_factory=True)
        options[option] = {
            "expected": expected,
            "required": required,
            "default": default,
            "about": info.description or "",
        }
        shown = "required" if required else f"default {inline(default)}"
        rows.append((option, expected, shown, info.description or ""))
    text = (plug.module.__doc__ or "").strip()
    if rows:
        text += "\n\nOptions:\n" + table(rows, indent="  ")
    data = {
        "kind": plural(kind),
        "name": name,
        "doc": (plug.module.__doc__ or "").strip(),
        "options": options,
        "requires": plug.requires,
    }
    return Answer(data, text)
