"""Traffic to a better model in service: choose rows, take labels, retrain, compare, canary, promote.

mw renew recipe.yaml --traffic DIR                              writes to-label.csv
mw renew recipe.yaml --traffic DIR --labels to-label.csv        trains, compares, packages
... --registry URL --service URL --key-file F                   pushes, canaries, promotes
... --listen PORT                                               does so when Alertmanager asks

Nothing replaces a model that is not shown, at 95% confidence, to be no worse: exit code 3 then.
Cut off, the same command goes on. Every decision is in renewal.jsonl and in the round's report.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelwright.cli.output import Answer
from modelwright.errors import UserError

if TYPE_CHECKING:
    from modelwright.renew.asked import Asked, Place
    from modelwright.renew.rounds import Round


def command(
    recipe: Annotated[Path, typer.Argument(help="The model's recipe.")],
    traffic: Annotated[Path, typer.Option(help="Folder of `mw serve --traffic`.")],
    labels: Annotated[
        list[str] | None,
        typer.Option(help="CSV with labels, or `feedback` for the log; may be repeated."),
    ] = None,
    budget: Annotated[int, typer.Option(min=1, max=100_000, help="Most rows to label.")] = 200,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="The renewal's folder."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="Bundle to renew [production of the registry, the last, runs/NAME]."),
    ] = None,
    registry: Annotated[str | None, typer.Option(help="Where renewed bundles are pushed.")] = None,
    key: Annotated[Path | None, typer.Option(help="Private key to sign them with.")] = None,
    service: Annotated[str | None, typer.Option(help="URL of the running service.")] = None,
    admin: Annotated[
        str | None, typer.Option(help="URL of its admin port [the next port].")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="File with a key of the scopes admin and metrics.")
    ] = None,
    bundles: Annotated[
        Path | None, typer.Option(help="Its --bundles folder [where its bundle lies].")
    ] = None,
    because: Annotated[str, typer.Option(help="Why; kept in the record.")] = "",
    listen: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port for Alertmanager's webhook.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that the webhook must bring.")
    ] = None,
) -> Answer | int:
    """Renew one model, or wait for alerts that ask for it."""
    from modelwright.renew.asked import Asked
    from modelwright.renew.stage import renew

    asked = Asked(
        recipe=recipe,
        traffic=traffic,
        labels=tuple(labels or ()),
        budget=budget,
        output=output,
        model=model,
        registry=registry,
        key=key,
        place=_place(service, admin, key_file, bundles),
        because=because,
    )
    if listen is None:
        return _answer(renew(asked), asked)
    from modelwright.renew.listening import Listener, child_command, secret

    words = child_command(asked, key_file)
    return Listener(asked, words, (host, listen), secret(token_file)).run()


def _place(
    service: str | None, admin: str | None, key_file: Path | None, bundles: Path | None
) -> Place | None:
    from urllib.parse import urlsplit

    from modelwright.renew.asked import Place
    from modelwright.renew.listening import secret

    if service is None:
        if admin or bundles:
            raise UserError(
                "MW-805",
                "--admin and --bundles speak of a service",
                expected="--service URL beside them",
                fix="--service http://127.0.0.1:8000",
            )
        return None
    try:
        parts = urlsplit(service)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise UserError(
            "MW-805", f"--service {service!r:.80}: {error}", expected="http://HOST:PORT",
            fix="--service http://127.0.0.1:8000",
        ) from error  # fmt: skip
    beside = f"{parts.scheme}://{parts.hostname}:{port + 1}"
    address = (admin or beside).rstrip("/")
    return Place(service.rstrip("/"), address, secret(key_file), bundles)


def _answer(done: Round, asked: Asked) -> Answer:
    import shlex

    report = done.folder / "report.md"
    data = {
        "status": done.status,
        "round": done.number,
        "folder": str(done.folder),
        "report": str(report),
        "steps": done.steps,
        "decisions": done.decisions,
    }
    if done.status == "labelling":
        path = done.folder / "to-label.csv"
        again = shlex.join(
            [
                "mw",
                "renew",
                str(asked.recipe),
                "--traffic",
                str(asked.traffic),
                "--labels",
                str(path),
            ]
        )
        rows = done.steps["choose"]["rows"]
        data["to_label"] = str(path)
        text = f"{rows} rows to label in {path}\nfill the empty column, then the same command with it:\n  {again}"
        return Answer(data, text)
    lines = [f"{one['step']:<9} {one['decision']}" for one in done.decisions]
    return Answer(data, "\n".join([*lines, f"report    {report}"]))
