"""The data stage: rows from anywhere to a clean, split, accounted-for Dataset.

    sources ─▶ columns ─▶ task.canonical ─▶ cleaners ─▶ split ─▶ leaks ─▶ limits ─▶ Arrow, audit

Every row that a source yields is counted once and ends as kept or dropped in the ledger. Texts wait
in a temporary file, so that memory grows by some 250 bytes a row, whatever its length.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modelwright.artifacts.dataset import SLICE_PREFIX, Dataset, DatasetInfo, write_info
from modelwright.errors import ModelwrightError, UserError

if TYPE_CHECKING:
    import numpy as np

    from modelwright.data.account import Account
    from modelwright.data.cleaners import Cleaner
    from modelwright.data.inputs import Opener
    from modelwright.data.leaks import Leaks
    from modelwright.data.reading import Input
    from modelwright.data.rowstore import RowStore
    from modelwright.data.splitting import Wanted
    from modelwright.recipe.schema import Data, Effort, Part
    from modelwright.tasks import Task

_LANGUAGE_ROWS = 20_000


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
    from modelwright.data.inputs import open_inputs, settled_options

    inputs = open_inputs(request.data, request.task, request.folder, opener)
    options = settled_options(request.task, request.options, inputs)
    rows = _make_rows(request, inputs, bool(options.get("multi_label")))
    try:
        with Ledger(request.output) as ledger:
            account = Account(ledger)
            cleaners = _clean(request, inputs, options, rows, account)
            found = _settle(request, inputs, rows, cleaners, account)
        return _write(request, inputs, options, rows, found, cleaners, account)
    except ModelwrightError:
        rescue(request.output, request.keep_ledger)
        raise
    finally:
        rows.remove_files()


@dataclass
class _Division:
    """Where each row went.

    Attributes:
        codes: split of each row: 0 train, 1 validation, 2 test.
        divided: splits that a pool was divided into.
        sizes: what was asked of each held-out split taken from the pool.
        leaks: what was found between splits.
        unknown: held-out rows dropped for a class without training rows, by class.
    """

    codes: np.ndarray
    divided: frozenset[int]
    sizes: dict[str, Wanted]
    leaks: Leaks
    unknown: dict[str, int]


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
) -> list[tuple[str, Cleaner]]:
    from modelwright.data.cleaning import clean, make_cleaners
    from modelwright.data.reading import Reader
    from modelwright.runtime.progress import bar

    cleaners = make_cleaners(request.parts, rows)
    reader = Reader(rows.kind, options, rows, account)
    with bar("reading and cleaning rows") as shown:

        def chunks() -> Any:
            for entry in inputs:
                for chunk in reader.chunks(entry):
                    shown.advance(len(chunk))
                    yield chunk

        clean(chunks(), cleaners, rows, account)
    return cleaners


def _settle(
    request: DataRequest,
    inputs: list[Input],
    rows: RowStore,
    cleaners: list[tuple[str, Cleaner]],
    account: Account,
) -> _Division:
    """Divide, remove leaks, check limits; the ledger is complete on disk whatever happens."""
    limit = request.data.limits.dropped
    try:
        account.check(limit)
        _check_learnable(request, inputs, rows, account)
        found = _divide(request, inputs, rows, cleaners, account)
        account.check(limit)
        _check_present(request, rows, found, account)
    finally:
        account.settle(rows)
    return found


def _check_learnable(
    request: DataRequest, inputs: list[Input], rows: RowStore, account: Account
) -> None:
    """MW-203 without training rows; MW-205, in the task's words, when there is one class."""
    import numpy as np

    of_train = np.flatnonzero(rows.alive & (rows.sources == 0))
    if not len(of_train):
        raise _no_rows("train", inputs[0].source.location, account)
    if len(np.unique(rows.target_keys[of_train])) == 1:
        request.task.learn_spec(rows.take(of_train[:1000]), language="", options=request.options)


def _divide(
    request: DataRequest,
    inputs: list[Input],
    rows: RowStore,
    cleaners: list[tuple[str, Cleaner]],
    account: Account,
) -> _Division:
    import numpy as np

    from modelwright.data.chunks import combine
    from modelwright.data.leaks import Leaks
    from modelwright.data.splitting import NAMES, check_fractions, divide, strata, wanted

    splits = request.data.splits
    asked = {
        name: getattr(splits, name)
        for name in ("validation", "test")
        if not isinstance(getattr(splits, name), str)
    }
    check_fractions({name: share for name, share in asked.items() if share})
    by_source = [0, *(NAMES.index(entry.split) for entry in inputs[1:])]
    codes = np.array(by_source, np.uint8)[rows.sources]
    pool = np.flatnonzero(rows.alive & (rows.sources == 0))
    classes = strata(rows.label_sets[pool], rows.label_names)
    kinds = len(np.unique(classes))
    sizes = {name: wanted(name, share, len(pool), kinds) for name, share in asked.items()}
    counts = {name: size.rows for name, size in sizes.items() if size.rows}
    divided: frozenset[int] = frozenset()
    if counts:
        if not splits.stratify:
            classes = np.zeros_like(classes)
        groups = rows.groups[pool] if splits.groups else None
        keys = combine(rows.content_keys[pool], rows.target_keys[pool])
        codes[pool] = divide(keys, classes, groups, counts, request.seed)
        divided = frozenset({0, *(NAMES.index(name) for name in counts)})
    leaks = Leaks(rows, codes, account, remove=request.leaks == "remove")
    _remove_leaks(request, leaks, [cleaner for _, cleaner in cleaners])
    return _Division(codes, divided, sizes, leaks, leaks.unknown_labels())


def _remove_leaks(request: DataRequest, leaks: Leaks, cleaners: list[Cleaner]) -> None:
    """Groups, equal rows, and for texts of one target nearly equal rows.

    Rows of one pool that `near-duplicates` has cleaned are unlike each other already.
    """
    from modelwright.data.leaks import near_pairs

    if request.data.splits.groups:
        leaks.groups()
    leaks.exact()
    task, rows = request.task, leaks.rows
    made = next((found for c in cleaners if (found := c.neighbours) is not None), None)
    if task.modality == "text" and task.head == "sequence" and (made is None or len(rows.splits) > 1):
        leaks.near(near_pairs(rows, leaks.codes, made))


def _check_present(
    request: DataRequest, rows: RowStore, found: _Division, account: Account
) -> None:
    """MW-203 when a split that was asked for has no row left."""
    import numpy as np

    from modelwright.data.splitting import NAMES

    held = np.bincount(found.codes[rows.alive], minlength=3)
    for code, name in enumerate(NAMES):
        asked = getattr(request.data.splits, name)
        if not held[code] and (code == 0 or isinstance(asked, str) or found.sizes[name].rows):
            raise _no_rows(name, str(asked or request.data.source), account)


def _no_rows(split: str, location: str, account: Account) -> UserError:
    dropped = account.ledger.dropped
    why = account.reasons(dropped) if dropped else "the source holds no rows"
    example = ""
    if dropped:
        most = dropped.most_common(1)[0][0]
        example = f"; the first {most} is {account.example(most)}"
    return UserError(
        "MW-203",
        f"no usable row is left for {split}: {why}{example}",
        expected="at least one row with what the task needs",
        fix="check the file and `data.columns`; ledger.jsonl lists every row that was dropped",
        file=location,
    )


def _write(
    request: DataRequest,
    inputs: list[Input],
    options: dict[str, Any],
    rows: RowStore,
    found: _Division,
    cleaners: list[tuple[str, Cleaner]],
    account: Account,
) -> Dataset:
    from modelwright.data.audit import audit, facts, text_sample, warnings
    from modelwright.data.language import main_language
    from modelwright.data.writing import write_splits

    held = write_splits(request.output, rows, found.codes, found.divided, request.seed)
    language, scripts = main_language(text_sample(rows, found.codes, _LANGUAGE_ROWS))
    info = DatasetInfo(request.task.name, [], rows.kind.multi_label, language, held)
    table = Dataset(request.output, info).table("train")
    spec = request.task.learn_spec(table, language=language, options=options)
    info.labels = list(spec.labels)
    info.columns = dict(inputs[0].columns.roles)
    info.slices = list(inputs[0].columns.slices)
    info.facts = facts(rows, found.codes)
    audited = audit(rows, found.codes)
    audited |= {
        "rows": account.ledger.totals(),
        "splits": {
            name: {"rows": held.get(name, 0), "origin": size.origin}
            for name, size in found.sizes.items()
        },
        "cleaners": {name: cleaner.notes() for name, cleaner in cleaners},
        "leaks": found.leaks.report,
        "unknown_labels": found.unknown,
        "language": {"main": language, "scripts": scripts},
    }
    audited["warnings"] = warnings(audited)
    info.audit = audited
    write_info(request.output, info)
    return Dataset.open(request.output)
