"""What holds for every cleaner, whoever wrote it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from modelwright import plugs
from modelwright.artifacts.ledger import Ledger
from modelwright.data.account import Account
from modelwright.data.chunks import Chunk, RowKind
from modelwright.data.cleaning import clean, make_cleaners
from modelwright.data.rowstore import RowStore
from modelwright.recipe.schema import Part

NAMES = plugs.names("cleaner")
TEXTS = [
    "a plain row of text",
    "a plain row of text",
    "  spaces   and &amp; entities ",
    "",
    "好",
    "这家店的味道很好，送餐很快，下次还会再来！",
    "这家店的味道很好，送餐很快，下次还会再来！！",
    "ＦＵＬＬ　ｗｉｄｔｈ",
    "👩‍👩‍👧 👍🏽",
    "\u200b",
    "x" * 50_000,
    "a plain row of text\nin two lines",
]


def pictures() -> list[bytes]:
    """Two equal images, another one and something else."""
    image = pytest.importorskip("PIL.Image")
    out = []
    for colour in (1, 1, 2):
        file = io.BytesIO()
        image.new("RGB", (9, 9), (colour, 0, 0)).save(file, "PNG")
        out.append(file.getvalue())
    return [*out, b"no image"]


def kind_for(name: str) -> RowKind:
    modality = plugs.load("cleaner", name).cls.modalities[0]
    task = plugs.load("task", f"{modality}-classification").cls
    return RowKind.of(task, multi_label=False, pair=False)


def some_rows(kind: RowKind) -> list[dict[str, Any]]:
    values: list[Any] = list(TEXTS) if kind.task.modality == "text" else pictures()
    return [
        {kind.inputs[0]: value, "label": "ab"[n % 2]} for n, value in enumerate(values + values)
    ]


def cleaned(name: str, rows: list[dict[str, Any]], folder: Path) -> tuple[list[Any], Any]:
    """Rows after one cleaner, and the ledger's sums; the ledger fails when a row is unaccounted for."""
    folder.mkdir()
    kind = kind_for(name)
    schema = kind.task.schema(multi_label=False, pair=False)
    store = RowStore(folder, schema, kind)
    account = Account(Ledger(folder))
    chunks = []
    for start in range(0, max(len(rows), 1), 5):
        part = rows[start : start + 5]
        numbers = list(range(start, start + len(part)))
        indices = store.arrive("train", numbers, numbers, ["f"] * len(part), [0] * len(part))
        account.ledger.arrived(len(part))
        chunks.append(Chunk(kind, "train", [dict(row) for row in part], indices))
    clean(chunks, make_cleaners([Part(name=name)], store), store, account)
    account.settle(store)
    left = [row for chunk in store.chunks() for row in chunk.rows]
    store.remove_files()
    assert len(left) == account.ledger.kept
    return left, json.loads((folder / "ledger.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is_and_takes_no_unknown_options(name: str) -> None:
    plug = plugs.load("cleaner", name)
    assert plugs.summary("cleaner", name).endswith((".", ":"))
    assert plug.version >= 1
    assert issubclass(plug.config, BaseModel)
    with pytest.raises(ValidationError):
        plug.config.model_validate({"no-such-option": 1})
    for key, field in plug.config.model_fields.items():
        assert field.description, f"{name}: {key} needs a sentence"
        assert not field.is_required(), f"{name}: {key} needs a default"
    with pytest.raises(ValidationError):
        plug.config().something = 1


@pytest.mark.parametrize("name", NAMES)
def test_a_second_pass_changes_nothing(name: str, tmp_path: Path) -> None:
    once, first = cleaned(name, some_rows(kind_for(name)), tmp_path / "1")
    twice, second = cleaned(name, once, tmp_path / "2")
    assert twice == once
    assert second["dropped"] == {}
    assert second["repaired"] == 0
    assert first["in"] == first["kept"] + sum(first["dropped"].values())


@pytest.mark.parametrize("name", NAMES)
def test_only_what_says_so_changes_rows(name: str, tmp_path: Path) -> None:
    rows = some_rows(kind_for(name))
    left, ledger = cleaned(name, rows, tmp_path / "1")
    if not plugs.load("cleaner", name).cls.changes:
        assert ledger["repairs"] == {}
        assert all(row in rows for row in left)


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_are_no_problem(name: str, tmp_path: Path) -> None:
    left, ledger = cleaned(name, [], tmp_path / "1")
    assert left == []
    assert ledger["in"] == 0


@pytest.mark.parametrize("name", NAMES)
def test_its_options_can_be_checked_without_heavy_libraries(name: str) -> None:
    module = plugs.KINDS["cleaner"] + "." + name.replace("-", "_")
    code = (
        f"import sys, {module}; "
        "print([m for m in ('numpy', 'pyarrow', 'PIL', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
