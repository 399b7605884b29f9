"""Fills the templates; everything is put into the one file."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

from markupsafe import Markup

from modelwright.pipeline.page import _run, _view, _words

_PACKAGE = "modelwright.pipeline.page"


def html(folder: Path) -> str:
    """The whole page."""
    environment = _environment()
    found = _view.view(_run.read(folder))
    text = environment.get_template("page.html").render(**found)
    return re.sub(r"\n\s*\n+", "\n", text)


def _environment() -> Any:
    from jinja2 import ChainableUndefined, Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader(_PACKAGE, "templates"),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        t=_words.say, plain=_words.plain, known=_words.known, figure=_words.figure,
        percent=_words.percent, number=_words.number, whole=_words.whole, ms=_words.milliseconds,
        duration=_words.duration, megabytes=_words.megabytes, points=_words.points,
        share=_words.is_share, name=_words.breakable,
        style=_verbatim("page.css"), script=_verbatim("page.js"),
    )  # fmt: skip
    return environment


def _verbatim(name: str) -> Markup:
    """Our own style or script; it holds nothing from the data."""
    return Markup(resources.files(_PACKAGE).joinpath("templates", name).read_text("utf-8"))
