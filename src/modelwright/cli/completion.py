"""Shell completion: `mw --install-completion`; the only place that imports every verb."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from modelwright.cli import verbs


def complete(arguments: Sequence[str]) -> int:
    """Let typer answer the shell, or write the shell's start-up file."""
    import typer

    app = typer.Typer(add_completion=True, rich_markup_mode=None)
    for name in verbs.names():
        module = import_module(f"modelwright.cli.{name}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            app.command(name=name, help=verbs.summary(name))(module.command)
    app(args=list(arguments), prog_name="mw")
    return 0
