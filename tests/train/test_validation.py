"""Which rows choose a run's epoch."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

pytest.importorskip("transformers")

from modelwright.artifacts.dataset import Dataset, DatasetInfo, SplitWriter
from modelwright.train.stage import validation_rows

ROWS = 200


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    writer = SplitWriter(tmp_path, "validation", pa.schema([("_row", pa.int64())]))
    writer.write({"_row": number} for number in range(ROWS))
    writer.close()
    return Dataset(tmp_path, DatasetInfo("text-classification", [], rows={"validation": ROWS}))


def _request(dataset: Dataset, proof_follows: bool) -> Any:
    return SimpleNamespace(dataset=dataset, seed=3, proof_follows=proof_follows)


def _numbers(rows: list[dict[str, Any]]) -> set[int]:
    return {row["_row"] for row in rows}


def test_all_validation_rows_choose_where_nothing_is_proven_on_them(dataset: Dataset) -> None:
    assert _numbers(validation_rows(_request(dataset, False))) == set(range(ROWS))
    assert len(validation_rows(_request(dataset, False), 50)) == 50


def test_rows_that_a_proof_will_use_take_no_part(dataset: Dataset) -> None:
    chosen = _numbers(validation_rows(_request(dataset, True)))
    tuning, certification = dataset.tuning_and_certification(3)
    assert chosen == _numbers(tuning)
    assert not chosen & _numbers(certification)
    assert (len(tuning), len(certification)) == (40, 160)


def test_the_parts_are_drawn_with_the_seed_and_hold_every_row_once(dataset: Dataset) -> None:
    first, again, other = (dataset.tuning_and_certification(seed) for seed in (3, 3, 4))
    assert first == again
    assert _numbers(first[0]) != _numbers(other[0])
    assert _numbers(first[0]) | _numbers(first[1]) == set(range(ROWS))


@pytest.mark.parametrize(("rows", "tuned"), [(0, 0), (5, 5), (20, 20), (30, 20), (9_000, 1_000)])
def test_few_rows_go_to_the_choice_and_many_to_the_proof(
    tmp_path: Path, rows: int, tuned: int
) -> None:
    writer = SplitWriter(tmp_path, "validation", pa.schema([("_row", pa.int64())]))
    writer.write({"_row": number} for number in range(rows))
    writer.close()
    info = DatasetInfo("text-classification", [], rows={"validation": rows})
    tuning, certification = Dataset(tmp_path, info).tuning_and_certification(0)
    assert (len(tuning), len(tuning) + len(certification)) == (tuned, rows)
