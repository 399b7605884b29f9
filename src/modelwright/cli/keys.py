"""API keys of a service: make, list and revoke them; the file keeps only their hashes.

mw keys add alice --file keys.json --scope predict --rate 100
mw keys list --file keys.json
mw keys revoke 1f0c9a2b --file keys.json

`mw serve --keys keys.json` asks for one on every route but the health probes, and reads the file
again when it changes. A key is shown once, when it is made. Each command takes --json.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelwright.cli.output import Answer, table
from modelwright.errors import UserError, did_you_mean

_File = Annotated[Path, typer.Option("--file", help="The file of keys.")]
_FILE = Path("keys.json")

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help=__doc__,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    file: _File = _FILE,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="predict, feedback, metrics or admin; may be repeated [predict]."),
    ] = None,
    rate: Annotated[float, typer.Option(min=0, help="Inputs a second; 0 for any.")] = 0.0,
) -> Answer:
    """Make a key and show it, once."""
    from modelwright.artifacts.store import now
    from modelwright.serve._keys import SCOPES, new_key, read_keys, write_keys

    scopes = scope or ["predict"]
    for one in scopes:
        if one not in SCOPES:
            raise UserError(
                "MW-805",
                f"there is no scope `{one}`",
                expected=f"one of: {', '.join(SCOPES)}",
                fix=did_you_mean(one, SCOPES),
            )
    text, key = new_key(name, scopes, rate, now())
    write_keys(file, [*read_keys(file), key])
    data = {"key": text, "id": key.id, "name": name, "scopes": scopes, "rate": rate}
    return Answer(data, f"{text}\n\nkept in {file} as a hash; it cannot be shown again")


@app.command("list")
def show(file: _File = _FILE) -> Answer:
    """The keys of a file, without their secrets."""
    from modelwright.serve._keys import read_keys

    keys = read_keys(file)
    data = [
        {"id": one.id, "name": one.name, "scopes": one.scopes, "rate": one.rate,
         "created": one.created}
        for one in keys
    ]  # fmt: skip
    rows = [
        (one.id, one.name, " ".join(one.scopes), f"{one.rate:g}/s" if one.rate else "any rate",
         one.created)
        for one in keys
    ]  # fmt: skip
    return Answer({"keys": data}, table(rows) or f"{file} holds no key")


@app.command("revoke")
def revoke(
    identity: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as listed.")],
    file: _File = _FILE,
) -> Answer:
    """Take a key out of the file; a running service notices within a second."""
    from modelwright.serve._keys import read_keys, write_keys

    keys = read_keys(file)
    kept = [one for one in keys if one.id != identity]
    if len(kept) == len(keys):
        raise UserError(
            "MW-805",
            f"there is no key `{identity}` in {file}",
            expected="the id of a key",
            fix=f"mw keys list --file {file}",
        )
    write_keys(file, kept)
    return Answer({"revoked": identity}, f"revoked {identity}")
