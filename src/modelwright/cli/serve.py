"""The service: bundles answer over HTTP, with a page to try them.

Prints the address, the models and a curl command on stderr when it is ready, which is after every
bundle's files had their digests and it gave its golden answers. Stops on Ctrl-C or SIGTERM once
running requests are answered. A serving process that is killed is replaced by its parent, which
keeps the port open meanwhile.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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
    admin_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port to change what is served; needs --bundles."),
    ] = None,
    bundles_folder: Annotated[
        Path | None, typer.Option("--bundles", help="Where the admin port may load bundles from.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="File that keeps what is served over a restart.")
    ] = None,
    log: Annotated[Literal["text", "json"], typer.Option(help="Lines of the log.")] = "text",
    access_log: Annotated[
        bool, typer.Option("--access-log", help="A line for every request.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", "--json", help="Print one JSON line on stdout when ready.")
    ] = False,
) -> int:
    """Serve bundles until stopped."""
    from modelwright.runtime.libraries import require_all
    from modelwright.runtime.machine import one_heap
    from modelwright.serve._logs import log_to_stderr
    from modelwright.serve._supervising import Line, supervised
    from modelwright.serve.settings import Settings
    from modelwright.serve.stage import REQUIRES, Ports, checked, run

    one_heap()  # before any thread begins
    require_all(REQUIRES)
    settings = Settings(
        host=host,
        port=port,
        keys=keys,
        tls_cert=tls_cert,
        tls_key=tls_key,
        traffic=traffic,
        admin_port=admin_port,
        bundles=bundles_folder,
        state=state,
        log=log,
        access_log=access_log,
    )
    checked(settings)
    ports = Ports.bound(settings)
    log_to_stderr(log, access=access_log)

    def serve(line: Line | None) -> int:
        from modelwright.serve._deploying import read_state, stable_folders
        from modelwright.serve._opening import open_verified

        folders = stable_folders(bundles, read_state(state)) if state else bundles
        opened = [open_verified(path, variant, threads) for path in folders]
        return run(opened, settings, as_json=as_json, ports=ports, line=line)

    return supervised(serve, ports.sockets(), settings.stall_s)
