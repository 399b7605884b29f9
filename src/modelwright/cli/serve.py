"""The service: bundles answer over HTTP, with a page to try them.

Prints the address, the models and a curl command on stderr when it is ready, which is after every
bundle gave its golden answers. Stops on Ctrl-C or SIGTERM once running requests are answered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    bundles: Annotated[
        list[Path], typer.Argument(help="Bundle folders; the first is the default.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for a free one.")] = 8000,
    variant: Annotated[
        str | None, typer.Option(help="Variant of every bundle instead of its default.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Processor threads of a model; default: all.")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="File of API keys (`mw keys`); needed beyond loopback.")
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="Certificate chain in PEM; read again when it changes.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key in PEM.")] = None,
    traffic: Annotated[
        Path | None,
        typer.Option(
            help="Folder for feedback, and for requests that the recipe allows to record."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", "--json", help="Print one JSON line on stdout when ready.")
    ] = False,
) -> int:
    """Serve bundles until stopped."""
    from modelwright.runtime.libraries import require_all
    from modelwright.serve.settings import Settings
    from modelwright.serve.stage import REQUIRES, bind, checked, run

    require_all(REQUIRES)
    settings = Settings(
        host=host, port=port, keys=keys, tls_cert=tls_cert, tls_key=tls_key, traffic=traffic
    )
    checked(settings)
    bind(host, port).close()  # a taken port is told before models are loaded

    from modelwright.engines import Bundle

    opened = [Bundle.open(path, variant=variant, threads=threads) for path in bundles]
    return run(opened, settings, as_json=as_json)
