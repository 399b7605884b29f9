"""Fetch a bundle from a registry into a folder, verified.

MODEL is NAME (what is in production, else the latest), NAME:VERSION or NAME@STAGE. Every file is
compared with its digest, and with --key the signature is verified, before the folder is there.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from modelwright.cli.output import Answer


def command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="NAME[:VERSION|@STAGE].")],
    url: Annotated[str, typer.Argument(help="The registry.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Where the bundle goes.")
    ],
    key: Annotated[
        Path | None, typer.Option(help="Public key; refuses what its owner did not sign.")
    ] = None,
) -> Answer:
    """Pull one bundle."""
    from modelwright.registry.store import pull

    done = pull(model, url, output, key=key)
    record = done.record
    told = {
        "verified": f"signature verified with {key}",
        "not verified": "signed, not verified: --key KEY.pub does",
        "none": "not signed",
    }[done.signature]
    text = f"{record.name}:{record.version} in {output}\n{record.files} files verified; {told}"
    data = {**asdict(record), "folder": str(output), "signature": done.signature}
    return Answer(data, text)
