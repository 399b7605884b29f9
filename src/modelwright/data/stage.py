"""The data stage: rows from anywhere to a clean, split, accounted-for Dataset.

    sources ─▶ columns ─▶ task.canonical ─▶ cleaners ─▶ split ─▶ leaks ─▶ limits ─▶ Arrow, audit

Every row that a source yields is counted once and ends as kept or dropped in the ledger. Texts wait
in a temporary file, so that memory grows by some 250 bytes a row, whatever its length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modelwright.artifacts.dataset import SLICE_PREFIX, Dataset
from modelwright.errors import ModelwrightError

if TYPE_CHECKING:
    from modelwright.data.account import Account
    from modelwright.data.chunks import Chunk
    from modelwright.data.dividing import Cleaned
    from modelwright.data.inputs import Opener
    from modelwright.data.reading import Input
    from modelwright.data.rowstore import RowStore
    from modelwright.recipe.schema import Data, Effort, Part
    from modelwright.tasks import Task


@dataclass(frozen=True, kw_only=True)
class DataRequest:
    """What the data stage is asked to do.

    Attributes:
        data: the recipe's data section; `clean: None` and splits of None are derived.
        task: the task's class.
        folder: the recipe's folder, for relative paths.
        output: an empty folder for the dataset.
        options: the task's options.
        seed: decides which rows are held out.
        effort: the recipe's effort.
        keep_ledger: where the ledger is copied when the stage fails after reading all rows.
        leaks: what to do with training rows that another split has too.
        prove: whether compression will need validation rows to prove its claim on.
    """

    data: Data
    task: type[Task]
    folder: Path
    output: Path
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    effort: Effort = "standard"
    keep_ledger: Path | None = None
    leaks: Literal["remove", "report"] = "remove"
    prove: bool = False

    @property
    def parts(self) -> list[Part]:
        """The cleaners, derived when the recipe names none."""
        if self.data.clean is not None:
            return self.data.clean
        return default_cleaners(self.task, self.effort)


def default_cleaners(task: type[Task], effort: Effort = "standard") -> list[Part]:
    """The cleaners that suit a task.

    Texts to classify or to score: `normalize`, `exact-duplicates` and, unless effort is quick,
    `near-duplicates`. Tagged texts: `exact-duplicates` alone, since documents repeat phrases that
    are worth learning in each place, and their words are someone's annotation. Images:
    `exact-duplicates`; the task itself refuses what it can't decode.
    """
    from modelwright.recipe.schema import Part

    names = ["exact-duplicates"]
    if task.modality == "text" and task.head == "sequence":
        names = ["normalize", "exact-duplicates"]
        if effort != "quick":
            names.append("near-duplicates")
    return [Part(name=name) for name in names]


def run(request: DataRequest, *, opener: Opener | None = None) -> Dataset:
    """Make a dataset in `request.output`.

    Args:
        request: what to do.
        opener: gives a source for a location, a format and its options; the built-in one if None.

    Raises:
        UserError: MW-201, 202, 203, 205, 206, 207, 208, and those of wrong options.
        GateError: MW-204 when too many rows were dropped.
    """
    from modelwright.artifacts.ledger import Ledger
    from modelwright.data.account import Account, rescue
    from modelwright.data.describing import write_dataset
    from modelwright.data.dividing import settle
    from modelwright.data.inputs import open_inputs, settled_options

    inputs = open_inputs(request.data, request.task, request.folder, opener)
    options = settled_options(request.task, request.options, inputs)
    rows = _make_rows(request, inputs, bool(options.get("multi_label")))
    try:
        with Ledger(request.output) as ledger:
            cleaned = _clean(request, inputs, options, rows, Account(ledger))
            division = settle(cleaned)
        return write_dataset(cleaned, division)
    except ModelwrightError:
        rescue(request.output, request.keep_ledger)
        raise
    finally:
        rows.remove_files()


def _make_rows(request: DataRequest, inputs: list[Input], multi_label: bool) -> RowStore:
    import pyarrow as pa

    from modelwright.data.chunks import RowKind
    from modelwright.data.rowstore import RowStore

    pair = "text_pair" in inputs[0].columns.roles
    kind = RowKind.of(request.task, multi_label=multi_label, pair=pair)
    schema = request.task.schema(multi_label=multi_label, pair=pair)
    for name in inputs[0].columns.slices:
        schema = schema.append(pa.field(SLICE_PREFIX + name, pa.string()))
    return RowStore(request.output, schema, kind)


def _clean(
    request: DataRequest,
    inputs: list[Input],
    options: dict[str, Any],
    rows: RowStore,
    account: Account,
) -> Cleaned:
    from modelwright.data.cleaning import clean, make_cleaners
    from modelwright.data.dividing import Cleaned
    from modelwright.data.reading import Reader
    from modelwright.runtime.progress import bar

    cleaners = make_cleaners(request.parts, rows)
    reader = Reader(rows.kind, options, rows, account)
    with bar("reading and cleaning rows") as shown:

        def chunks() -> Iterator[Chunk]:
            for entry in inputs:
                for chunk in reader.chunks(entry):
                    shown.advance(len(chunk))
                    yield chunk

        clean(chunks(), cleaners, rows, account)
    return Cleaned(request, inputs, options, rows, account, cleaners)
