"""Put a bundle into a registry: a folder, an fsspec URL (s3://...), or MLflow's (mlflow:URI).

Its digests are checked, and with --key it is signed. A new version is a candidate unless --stage
says otherwise; one that is there already is left as it is.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from modelwright.cli.output import Answer


def command(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    url: Annotated[str, typer.Argument(help="The registry.")],
    stage: Annotated[
        str | None, typer.Option(help="candidate, canary or production [candidate if new].")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Private key (elliptic curve, PEM) to sign with.")
    ] = None,
) -> Answer:
    """Push one bundle."""
    from modelwright.registry.store import push

    done = push(bundle, url, stage=stage, key=key)
    record = done.record
    told = f"{record.name}:{record.version} " + ("pushed" if done.new else "was there already")
    told += ", signed" if record.signed else ""
    told += f", {done.stage}" if done.stage else ""
    data = {**asdict(record), "new": done.new, "stage": done.stage}
    return Answer(data, f"{told}\n{record.files} files, {record.bytes / 1e6:.1f} MB")
