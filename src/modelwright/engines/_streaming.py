"""Offline prediction over files: order kept, memory constant, killed and resumed without a trace.

    rows ─ windows of 2,048 ─▶ bundle.predict (batches of like length inside) ─▶ OUT, in order
             └─ rows that the bundle's input schema refuses ─▶ OUT.rejected.jsonl, with the reason

Every row of the file is either in OUT, with its own columns and the prediction's, or among the
rejected: in = predicted + rejected, always.
"""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.engines._tables import TEXT, RawLine, Reader, format_of
from modelwright.engines._writing import (
    Delimited,
    FileOutput,
    Form,
    Gzipped,
    JsonLines,
    ParquetForm,
    Row,
    StreamOutput,
)
from modelwright.errors import UserError, did_you_mean
from modelwright.runtime.progress import bar, say

if TYPE_CHECKING:
    from modelwright.engines import Bundle

WINDOW_ROWS = {"text": 2048, "image": 128}
WINDOW_CHARACTERS = 4_000_000
_JOB_SCHEMA = 1


@dataclass(frozen=True)
class Options:
    """How a file is read.

    Attributes:
        columns: the column of the text (or image), and of the second text of a pair; () finds them.
        format: the input's format; None tells by its name.
        out_format: the output's format; None tells by its name, else as the input.
    """

    columns: tuple[str, ...] = ()
    format: str | None = None
    out_format: str | None = None


@dataclass(frozen=True)
class Totals:
    """What became of the rows; `resumed_from` are those that an earlier attempt had done."""

    rows: int
    predicted: int
    rejected: int
    resumed_from: int
    seconds: float
    out: str
    rejected_file: str | None

    def as_dict(self) -> dict[str, Any]:
        """JSON form, with `in` for `rows`."""
        values = asdict(self)
        return {"in": values.pop("rows"), **values}


def predict_file(
    bundle: Bundle, source: str, target: str, options: Options | None = None
) -> Totals:
    """Predict every row of a file.

    Args:
        bundle: opened.
        source: csv, tsv, jsonl, txt or parquet, also `.gz`; `-` is standard input.
        target: the same formats; `-` is standard output. The same call goes on after a kill.
        options: see `Options`.

    Raises:
        UserError: MW-804 unreadable, MW-206 encoding, MW-606 no column for the model's input,
            MW-803 another process writes `target`, MW-805 formats that don't go together.
    """
    options, began = options or Options(), time.perf_counter()
    if target != "-" and source != "-" and Path(source).resolve() == Path(target).resolve():
        raise UserError(
            "MW-805",
            f"{source} is both the input and the output",
            expected="an output of another name",
            fix="choose another --out",
        )
    reader = Reader(source, options.format)
    try:
        rows = _windows(reader.rows(), bundle.task.modality)
        first = next(rows, [])
        plan = _Plan(bundle, reader, first, options)
        output = _open_output(plan, reader, target, options)
        done = output.journal.rows
        if done:
            say(f"going on after {done:,} rows")
        try:
            _predict_all(plan, reader, output, itertools.chain([first], rows))
            output.finish()
        finally:
            output.close()
    finally:
        reader.close()
    journal, seconds = output.journal, round(time.perf_counter() - began, 3)
    return Totals(
        journal.rows,
        journal.predicted,
        journal.rejected,
        done,
        seconds,
        target,
        output.rejected_path,
    )


def _predict_all(
    plan: _Plan, reader: Reader, output: FileOutput | StreamOutput, windows: Iterator[list[RawLine]]
) -> None:
    """Windows up to the journal are skipped: they end where the earlier attempt's ended."""
    skip = output.journal.rows
    with bar("predicting", reader.size) as progress:
        for window in windows:
            if skip >= len(window):
                skip -= len(window)
                continue
            if window:
                rows, rejected = plan.answer(window)
                output.append(rows, rejected, len(window))
            progress.advance(max(0, reader.position - progress.done))
            progress.note(f"{output.journal.rows:,} rows")


def _windows(rows: Iterator[RawLine], modality: str) -> Iterator[list[RawLine]]:
    """Rows in windows bounded in rows and characters; cut the same way every time."""
    window: list[RawLine] = []
    characters = 0
    for row in rows:
        window.append(row)
        characters += sum(
            len(value) for value in (row.values or {}).values() if isinstance(value, str)
        )
        if len(window) >= WINDOW_ROWS[modality] or characters >= WINDOW_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window


class _Plan:
    """What is read from a row, and what is added to it."""

    def __init__(
        self, bundle: Bundle, reader: Reader, first: Sequence[RawLine], options: Options
    ) -> None:
        self.bundle = bundle
        self.folder = Path() if reader.source == "-" else Path(reader.source).parent
        seen = (row.values or {} for row in first)
        self.columns = reader.columns or list(dict.fromkeys(itertools.chain.from_iterable(seen)))
        self.inputs = choose_columns(bundle, self.columns, options.columns)
        properties = bundle.manifest["output"].get("properties", {})
        self.added = {name: part for name, part in properties.items() if name != "scores"}
        self.prefix = _free_prefix(self.added, self.columns)
        if self.prefix:
            names = ", ".join(self.names())
            say(f"the file has columns of its own by these names; the answers are in {names}")

    def names(self) -> list[str]:
        """Names of the added columns."""
        return [self.prefix + name for name in self.added]

    def answer(self, window: Sequence[RawLine]) -> tuple[list[Row], list[Row]]:
        """The window's rows with their predictions, and the rejected ones with their reasons."""
        inputs: list[Any] = []
        kept: list[RawLine] = []
        rejected: dict[int, str] = {}
        for row in window:
            if row.values is None:
                rejected[row.line] = row.reason
                continue
            value, reason = self._input(row.values)
            if reason:
                rejected[row.line] = reason
            else:
                inputs.append(value)
                kept.append(row)
        rows: list[Row] = []
        for row, answer in zip(kept, self._predict(inputs), strict=True):
            if isinstance(answer, Exception):
                rejected[row.line] = f"the model failed on it: {type(answer).__name__}"
            else:
                rows.append(self._joined(row.values or {}, answer))
        values = {row.line: row.values for row in window}
        return rows, [
            {"line": line, "reason": reason, "row": values[line]}
            for line, reason in sorted(rejected.items())
        ]

    def _joined(self, values: Row, answer: Mapping[str, Any]) -> Row:
        joined = dict(values)
        for name in self.added:
            key = self.prefix + name
            joined[key if key not in values else f"predicted_{key}"] = answer.get(name)
        return joined

    def _input(self, values: Row) -> tuple[Any, str]:
        """The input that a row asks for, or why there is none."""
        found: dict[str, Any] = {}
        for role, column in self.inputs.items():
            value = values.get(column)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                value = str(value)
            if value is None or (isinstance(value, str) and not value.strip()):
                return None, f"`{column}` is empty"
            if role == "image":
                value, reason = _image(value, self.folder)
                if reason:
                    return None, reason
            found["tokens" if isinstance(value, list) else role] = value
        single = len(found) == 1 and not self.bundle.task.spec.pair and "tokens" not in found
        item = next(iter(found.values())) if single else found
        if isinstance(item, bytes):
            return base64.b64encode(item).decode(), ""
        fault = self.bundle.fault(item)
        return item, f"{fault.field}: {fault.message}".removeprefix(": ") if fault else ""

    def _predict(self, inputs: list[Any]) -> list[Any]:
        """An answer or an exception for each input; raises when not even one could be answered."""
        answers = _bisect(self.bundle, inputs)
        failures = [answer for answer in answers if isinstance(answer, Exception)]
        if failures and len(failures) == len(answers) and self.bundle.task.modality == "text":
            raise failures[0]
        return answers


def _free_prefix(added: Iterable[str], columns: Collection[str]) -> str:
    """What stands before the added names so that the file's own columns stay as they are."""
    for number in itertools.count():
        prefix = ("", "predicted_")[number] if number < 2 else f"predicted_{number}_"
        if not any(prefix + name in columns for name in added):
            return prefix
    return ""


def _bisect(bundle: Bundle, inputs: list[Any]) -> list[Any]:
    """Predict; where the model fails, halve until the failing inputs stand alone."""
    try:
        return list(bundle.predict(inputs)) if inputs else []
    except Exception as error:  # noqa: BLE001 - a row that breaks the model is set aside
        if len(inputs) == 1:
            return [error]
    middle = len(inputs) // 2
    return _bisect(bundle, inputs[:middle]) + _bisect(bundle, inputs[middle:])


def _image(value: Any, folder: Path) -> tuple[Any, str]:
    """Bytes of an image given as bytes, as parquet's {"bytes"}, or as a path beside the file."""
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return value, ""
    try:
        return (folder / str(value)).read_bytes(), ""
    except (OSError, ValueError):
        return None, f"no image file {str(value)[:200]}"


# -- columns --------------------------------------------------------------------------------------
def choose_columns(
    bundle: Bundle, columns: Sequence[str], wanted: Sequence[str] = ()
) -> dict[str, str]:
    """Role -> column of what the model reads.

    In order: the columns asked for, those that training used, the task's usual names, the only one.

    Raises:
        UserError: MW-606 naming the columns seen.
    """
    task = bundle.task
    roles = [role for role in task.roles if not role.target]
    main = next(role for role in roles if role.name in ("text", "image"))
    needed = [main.name, "text_pair"] if task.spec.pair else [main.name]
    for name in wanted:
        if name not in columns:
            raise _no_column(
                bundle, columns, f"there is no column `{name}`", did_you_mean(name, columns)
            )
    if wanted:
        if len(wanted) != len(needed):
            said = f"{len(wanted)} columns were named, the model reads {len(needed)}"
            raise _no_column(bundle, columns, said, f"name {' and '.join(needed)} in this order")
        return dict(zip(needed, wanted, strict=True))
    trained = bundle.manifest["input"].get("x-columns", {})
    aliases = {role.name: role.aliases for role in roles}
    found: dict[str, str] = {}
    for name in needed:
        options = [trained.get(name), *aliases[name]]
        if name == main.name and "tokens" in aliases:
            options += [trained.get("tokens"), *aliases["tokens"]]
        column = _first(options, columns)
        if column is None and len(needed) == 1 and len(columns) == 1:
            column = columns[0]
        if column is None:
            fix = " ".join(f"--column {role.upper()}_COLUMN" for role in needed)
            said = f"no column is known to hold the {name.replace('_', ' ')}"
            raise _no_column(bundle, columns, said, f"name it: {fix}")
        found[name] = column
    return found


def _first(options: Sequence[str | None], columns: Sequence[str]) -> str | None:
    folded = {column.strip().lower(): column for column in reversed(columns)}
    return next((folded[name.lower()] for name in options if name and name.lower() in folded), None)


def _no_column(bundle: Bundle, columns: Sequence[str], seen: str, fix: str) -> UserError:
    shown = ", ".join(columns[:20]) or "none"
    return UserError(
        "MW-606",
        f"{seen}; columns seen: {shown}",
        expected=f"the columns that {bundle.manifest['name']} reads",
        fix=fix,
    )


# -- output ---------------------------------------------------------------------------------------
def _open_output(
    plan: _Plan, reader: Reader, target: str, options: Options
) -> FileOutput | StreamOutput:
    told = options.out_format or (format_of(target) if target != "-" else None)
    chosen = told or {"txt": "csv", "parquet": "jsonl"}.get(reader.format, reader.format)
    form = _form(plan, reader, chosen)
    if target == "-":
        if chosen == "parquet":
            raise _mismatch("parquet cannot be written to standard output", "--out OUT.parquet")
        return StreamOutput(form)
    if target.endswith(".gz") and chosen != "parquet":
        form = Gzipped(form)
    return FileOutput(Path(target), form, _job(plan, reader, chosen))


def _form(plan: _Plan, reader: Reader, format: str) -> Form:
    if format == "jsonl":
        return JsonLines()
    if reader.format == "jsonl":
        plan.columns = _all_columns(reader)
    if format == "parquet":
        return ParquetForm(_arrow_schema(plan, reader))
    if format == "txt":
        return Delimited(plan.names()[:1], "\t")
    delimiter = "\t" if format == "tsv" else reader.delimiter if reader.format == "csv" else ","
    return Delimited([*plan.columns, *plan.names()], delimiter)


def _all_columns(reader: Reader) -> list[str]:
    """Every key of a JSON lines file, in the order met: read twice, for a header needs them."""
    if reader.source == "-":
        raise _mismatch("JSON lines of standard input have no fixed columns", "--out OUT.jsonl")
    again = Reader(reader.source, reader.format)
    try:
        keys = (row.values or {} for row in again.rows())
        return list(dict.fromkeys(itertools.chain.from_iterable(keys)))
    finally:
        again.close()


def _arrow_schema(plan: _Plan, reader: Reader) -> Any:
    """The input's own types for parquet, text for the rest; numbers for scores."""
    from modelwright.runtime.libraries import require

    pa = require("pyarrow", "train")
    own = reader.arrow_schema
    fields = [pa.field(name, pa.string()) for name in plan.columns] if own is None else list(own)
    kinds = {"number": pa.float64(), "integer": pa.int64()}
    for name, part in zip(plan.names(), plan.added.values(), strict=True):
        fields.append(pa.field(name, kinds.get(part.get("type"), pa.string())))
    return pa.schema(fields)


def _job(plan: _Plan, reader: Reader, format: str) -> dict[str, Any]:
    """What determines the output: the same job may go on, another starts anew."""
    source: list[Any] = [reader.source]
    if reader.source != "-":
        stat = Path(reader.source).stat()
        source = [str(Path(reader.source).resolve()), stat.st_size, stat.st_mtime_ns]
    return {
        "schema": _JOB_SCHEMA if reader.source != "-" else f"stdin-{time.time_ns()}",
        "source": source,
        "formats": [reader.format, format],
        "columns": plan.inputs,
        "added": plan.names(),
        "bundle": [plan.bundle.manifest["name"], plan.bundle.manifest["version"]],
        "variant": plan.bundle.variant.get("name", ""),
    }


def _mismatch(seen: str, fix: str) -> UserError:
    return UserError("MW-805", seen, expected="formats that go together", fix=fix)


__all__ = ["TEXT", "Options", "Totals", "choose_columns", "predict_file"]
