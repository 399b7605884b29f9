"""Writes the splits, and what is known of them: labels, language, facts, audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwright.artifacts.dataset import Dataset, DatasetInfo, write_info
from modelwright.data.audit import audit, facts, text_sample, warnings
from modelwright.data.writing import write_splits
from modelwright.encoders.language import main_language

if TYPE_CHECKING:
    from modelwright.data.dividing import Cleaned, Division

_LANGUAGE_ROWS = 20_000


def write_dataset(cleaned: Cleaned, division: Division) -> Dataset:
    """The finished dataset.

    Raises:
        UserError: MW-205 when the task can't learn from the training rows.
    """
    request, rows, codes = cleaned.request, cleaned.rows, division.codes
    held = write_splits(request.output, rows, codes, division.divided, request.seed)
    language, scripts = main_language(text_sample(rows, codes, _LANGUAGE_ROWS))
    columns = cleaned.inputs[0].columns
    info = DatasetInfo(
        task=request.task.name,
        labels=[],
        multi_label=rows.kind.multi_label,
        language=language,
        rows=held,
        columns=dict(columns.roles),
        slices=list(columns.slices),
        facts=facts(rows, codes),
        normal=next(filter(None, (cleaner.for_inputs() for _, cleaner in cleaned.cleaners)), None),
    )
    table = Dataset(request.output, info).table("train")
    spec = request.task.learn_spec(table, language=language, options=cleaned.options)
    info.labels = list(spec.labels)
    found = audit(rows, codes)
    found |= {
        "rows": cleaned.account.ledger.totals(),
        "splits": {
            name: {"rows": held.get(name, 0), "origin": size.origin}
            for name, size in division.sizes.items()
        },
        "cleaners": {name: cleaner.notes() for name, cleaner in cleaned.cleaners},
        "leaks": division.leaks,
        "unknown_labels": division.unknown,
        "language": {"main": language, "scripts": scripts},
    }
    found["warnings"] = warnings(found)
    info.audit = found
    write_info(request.output, info)
    return Dataset.open(request.output)
