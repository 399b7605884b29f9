"""From a location and a format's name to a source that is ready to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from modelwright import plugs
from modelwright.data.sources import Source, _glimpse
from modelwright.data.sources._remote import redact
from modelwright.errors import Problem, RecipeError, UserError, did_you_mean
from modelwright.runtime import libraries

_LEAST = 0.1


def open_source(
    location: str, format: str = "auto", options: Mapping[str, Any] | None = None
) -> Source:
    """The source that reads a location.

    Args:
        location: path, folder, glob or URL.
        format: the name of a source, or auto: the one that claims the location most surely.
        options: the source's own options.

    Raises:
        UserError: MW-105 unknown format, MW-107 nothing there, MW-201 not recognised, MW-207
            remote failure, MW-801 a library is missing; RecipeError for wrong options.
    """
    name = recognise(location) if format == "auto" else format
    plug = plugs.load("source", name)
    libraries.require_all(plug.requires)
    return plug.cls(location, _config(plug, options or {}))


def recognise(location: str) -> str:
    """The name of the format that claims a location most surely; MW-201 when none does."""
    _glimpse.forget()
    names = plugs.names("source")
    claims = {name: plugs.load("source", name).cls.claims(location) for name in names}
    best = max(claims, key=lambda name: claims[name])
    if claims[best] >= _LEAST:
        return best
    seen = _glimpse.at(location)
    shown = ", ".join(seen.names[:5]) + (", ..." if len(seen.names) > 5 else "")
    if seen.one:
        looked = f"its name ({shown}) and its first bytes ({seen.head[:16]!r})"
    else:
        looked = f"the names of its {len(seen.names)} files ({shown or 'none'})"
    raise UserError(
        "MW-201",
        f"the format of {redact(location)} was not recognised; looked at {looked}",
        expected=f"one of: {', '.join(names)}",
        fix="set data.format",
    )


def _config(plug: plugs.Plug, options: Mapping[str, Any]) -> BaseModel:
    try:
        return plug.config.model_validate(dict(options))
    except ValidationError as error:
        known = list(plug.config.model_fields)
        raise RecipeError([_problem(plug.name, each, known) for each in error.errors()]) from None


def _problem(name: str, error: Any, known: list[str]) -> Problem:
    where = ".".join(str(part) for part in error["loc"])
    key = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        return Problem(
            code="MW-101",
            seen=f"format {name} has no option `{where}`",
            expected="one of: " + ", ".join(known),
            fix=did_you_mean(where, known),
        )
    return Problem(
        code="MW-102",
        seen=f"option `{key}` of format {name} is {error['input']!r}",
        expected=error["msg"],
        fix=f"correct data.options.{key}; `mw list sources` describes the options",
    )
