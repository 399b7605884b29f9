"""Offline prediction: some texts, or a file of any size.

With --file every row comes back in order with its own columns and the answer's; rows that cannot
be used go to OUT.rejected.jsonl with the reason (exit 2 when that is all of them). A killed run goes
on with the same command.

A folder or a pattern in quotes gives one output for each file, by its name in the folder --out;
finished ones are not made again. --executor ray takes all cores of this machine, or of RAY_ADDRESS.

`mw predict BUNDLE "my card is lost"`, or `mw predict BUNDLE --file in.csv --out out.csv`
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from modelwright.cli.output import Answer, print_json


def command(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts, or paths of images.")
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            help="csv, tsv, jsonl, txt or parquet, also .gz; - is stdin; a folder or 'a/*.csv'."
        ),
    ] = None,
    out: Annotated[
        str, typer.Option(help="Where the rows go; - is stdout; a folder for many files.")
    ] = "-",
    variant: Annotated[str | None, typer.Option(help="Another variant than the default.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Column of the text; twice for a pair of texts."),
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="The file's format where its name does not tell.")
    ] = None,
    executor: Annotated[
        str, typer.Option(help="Of many files: local, one after another, or ray, all at once.")
    ] = "local",
    as_json: Annotated[
        bool, typer.Option("--json", "--json", help="Answers or totals as JSON.")
    ] = False,
) -> Answer | int:
    """Predict texts or a file."""
    _check_arguments(texts, file, format)
    _check_executor(executor, file)
    from modelwright.engines import Bundle
    from modelwright.engines._many import Work, is_many
    from modelwright.engines._streaming import Options

    if file and (executor != "local" or is_many(file)):
        work = Work(str(bundle), variant, Options(tuple(column or ()), format))
        return _answer_files(work, file, out, executor, as_json)
    opened = Bundle.open(bundle, variant=variant)
    try:
        if texts:
            _hint_at_files(opened, texts)
            answer = _answer_texts(opened, texts)
            return _shown(answer, as_json)
        return _answer_file(opened, file or "-", out, tuple(column or ()), format, as_json)
    finally:
        opened.close()


def _check_arguments(texts: list[str] | None, file: str | None, format: str | None) -> None:
    from modelwright.errors import UserError, did_you_mean

    formats = ("csv", "tsv", "jsonl", "txt", "parquet")
    if texts and file:
        raise UserError(
            "MW-805",
            "both texts and --file were given",
            expected="one of them",
            fix="leave one out",
        )
    if not texts and not file and sys.stdin.isatty():
        raise UserError(
            "MW-805",
            "nothing to predict",
            expected="texts, --file, or rows on standard input",
            fix='mw predict BUNDLE "some text", or mw predict BUNDLE --file in.csv --out out.csv',
        )
    if format and format not in formats:
        raise UserError(
            "MW-805",
            f"there is no format `{format}`",
            expected=", ".join(formats),
            fix=did_you_mean(format, formats),
        )


def _check_executor(executor: str, file: str | None) -> None:
    from modelwright.errors import UserError, did_you_mean

    known = ("local", "ray")
    if executor not in known:
        raise UserError(
            "MW-805",
            f"there is no executor `{executor}`",
            expected=", ".join(known),
            fix=did_you_mean(executor, known),
        )
    if executor != "local" and file in (None, "-"):
        raise UserError(
            "MW-805",
            f"--executor {executor} was given without files",
            expected="a folder, a pattern or a file",
            fix="mw predict BUNDLE --file 'july/*.csv' --executor ray --out answers",
        )


def _hint_at_files(bundle: Any, texts: list[str]) -> None:
    """Say that a file's name is read as a text, where its rows were surely meant."""
    from modelwright.engines._tables import format_of
    from modelwright.runtime.progress import say

    if bundle.task.modality == "image":
        return
    for text in texts:
        if text == "-" or (format_of(text) and Path(text).is_file()):
            say(f"`{text}` is read as a text; for its rows: --file {text}")


def _answer_texts(bundle: Any, texts: list[str]) -> Answer:
    from modelwright.cli.output import table
    from modelwright.engines._asking import ask

    predictions = ask(bundle, texts)
    manifest = bundle.manifest
    data = {"model": manifest["name"], "version": manifest["version"], "predictions": predictions}
    each = len(texts) // len(predictions)
    asked = [" <> ".join(texts[start : start + each]) for start in range(0, len(texts), each)]
    rows = [(*_summary(one), text) for one, text in zip(predictions, asked, strict=True)]
    return Answer(data, table(rows))


def _summary(prediction: dict[str, Any]) -> tuple[str, str]:
    """What a person wants to see of an answer: the label and its score."""
    if "entities" in prediction:
        found = ", ".join(f"{one['text']} [{one['label']}]" for one in prediction["entities"])
        return found or "no entities", ""
    score = f"{prediction['score']:.3f}" if "score" in prediction else ""
    if "labels" in prediction:
        return " | ".join(prediction["labels"]) or "no label", score
    if "label" in prediction:
        return prediction["label"], score
    return ", ".join(str(value) for value in prediction.values()), ""


def _shown(answer: Answer, as_json: bool) -> int:
    if as_json:
        print_json(answer.data)
    else:
        print(answer.text)
    return answer.exit


def _answer_file(
    bundle: Any,
    source: str,
    target: str,
    columns: tuple[str, ...],
    format: str | None,
    as_json: bool,
) -> int:
    import json

    from modelwright.engines._streaming import Options, predict_file
    from modelwright.runtime.progress import say

    out_format = "jsonl" if as_json and target == "-" else None
    totals = predict_file(bundle, source, target, Options(columns, format, out_format))
    if as_json and target != "-":
        print_json(totals.as_dict())
    elif as_json:
        say(json.dumps(totals.as_dict(), ensure_ascii=False))
    else:
        rate = (totals.rows - totals.resumed_from) / max(totals.seconds, 1e-9)
        said = f"{totals.rows:,} in, {totals.predicted:,} predicted, {totals.rejected:,} rejected"
        say(f"{said} ({rate:,.0f} rows/s)" + (f"; {target}" if target != "-" else ""))
        if totals.rejected_file:
            say(f"rejected rows with their reasons: {totals.rejected_file}")
    return 0 if totals.predicted or not totals.rows else 2


def _answer_files(work: Any, file: str, out: str, executor: str, as_json: bool) -> int:
    from modelwright.engines._many import planned, predict_files
    from modelwright.errors import UserError
    from modelwright.runtime.libraries import require_all
    from modelwright.runtime.progress import say

    if executor == "ray":
        require_all({"ray": "ray"})
    done = predict_files(work, planned(file, out, work.options.format), executor)
    totals = [one.totals for one in done if one.totals is not None]
    rows, predicted, rejected = (
        sum(getattr(one, name) for one in totals) for name in ("rows", "predicted", "rejected")
    )
    if as_json:
        files = [
            {"file": one.source, "before": one.again, "problem": one.problem or None}
            | (one.totals.as_dict() if one.totals else {})
            for one in done
        ]
        sums = {"in": rows, "predicted": predicted, "rejected": rejected}
        print_json({"files": files, **sums, "out": out})
    said = f"{rows:,} in, {predicted:,} predicted, {rejected:,} rejected"
    say(f"{len(totals):,} of {len(done):,} files: {said}; {out}")
    if failed := [one for one in done if one.totals is None]:
        raise UserError(
            "MW-649",
            f"{len(failed):,} of {len(done):,} files could not be predicted:\n"
            + "\n".join(f"{one.source}: {one.problem}" for one in failed[:10]),
            expected="every file predicted",
            fix="repair these files, then the same command; the others are not done again",
        )
    return 0 if predicted or not rows else 2
