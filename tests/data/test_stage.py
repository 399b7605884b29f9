"""The data stage as a whole: every row accounted for, good errors for bad data, real sets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright import plugs
from modelwright.data import DataRequest, default_cleaners, run
from modelwright.data.sources import BrokenRow
from modelwright.errors import GateError, UserError
from modelwright.recipe.schema import Data, Part, Splits

Runner = Callable[..., Any]
Maker = Callable[..., list[dict[str, Any]]]
ALL = ["normalize", "exact-duplicates", "near-duplicates"]


def test_a_pool_becomes_three_splits_with_places_of_every_row(stage: Runner, many: Maker) -> None:
    made = stage({"source": many(200)})
    assert made.dataset.info.rows == {"train": 160, "validation": 20, "test": 20}
    assert made.dataset.info.labels == ["class 0", "class 1"]
    row = made.dataset.rows("train")[0]
    assert set(row) == {"text", "label", "_row", "_file", "_line"}
    assert row["_file"] == "source.rows"
    assert row["_line"] == row["_row"] + 2
    assert row["text"] == many(200)[row["_row"]]["text"]
    assert made.audit["splits"]["test"]["origin"].startswith("derived: 10% of 200 rows")


def test_given_files_keep_their_order(stage: Runner, many: Maker) -> None:
    tables = {"train": many(40), "validation": many(10, start=40), "test": many(10, start=60)}
    made = stage(tables)
    for split, rows in tables.items():
        assert made.texts(split) == [row["text"] for row in rows]


def test_nothing_temporary_is_left_behind(stage: Runner, many: Maker) -> None:
    made = stage({"source": many(50)}, clean=ALL)
    assert {path.name for path in made.folder.iterdir()} == {
        "train.arrow", "validation.arrow", "test.arrow", "dataset.json", "ledger.json",
        "ledger.jsonl",
    }  # fmt: skip


def test_broken_rows_and_rows_without_label_are_dropped_with_their_place(
    stage: Runner, many: Maker
) -> None:
    table: list[Any] = many(98)
    table.insert(3, {"text": "no label", "label": float("nan")})
    table.insert(5, BrokenRow("wrong-columns", "3 fields, expected 2", 5, "source.rows", 7))
    made = stage({"source": table})
    assert made.ledger["in"] == 100
    assert made.ledger["dropped"] == {"missing-label": 1, "wrong-columns": 1}
    assert {(entry["row"], entry["line"], entry["by"]) for entry in made.entries} == {
        (3, 5, "task"),
        (5, 7, "source"),
    }


text = st.one_of(
    st.none(),
    st.text(max_size=12),
    st.sampled_from(
        ["hello world", "hello  world", "HELLO WORLD", "你好，世界", "👍🏽", "a\ud800b"]
    ),
)
label = st.sampled_from(["yes", "no", "Yes", "", None, float("nan"), 3])


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.tuples(text, label), max_size=30), files=st.booleans())
def test_every_row_is_kept_or_dropped_exactly_once(
    stage: Runner,
    tmp_path: Path,
    rows: list[tuple[Any, Any]],
    files: bool,
    many: Maker,
    labelled: Maker,
) -> None:
    good = many(12)
    table = [*labelled(*rows), *good]
    tables = (
        {"train": table, "test": [*good[:3], *many(4, start=50)]} if files else {"source": table}
    )
    made = stage(tables, clean=ALL, limits={"dropped": 1.0})
    arrived = sum(map(len, tables.values()))
    kept = sum(made.dataset.info.rows.values())
    assert made.ledger["in"] == arrived
    assert made.ledger["kept"] == kept == arrived - sum(made.ledger["dropped"].values())
    gone = [(e["split"], e["row"]) for e in made.entries if e["action"] == "dropped"]
    left = [
        ("source" if split != "test" or not files else "test", row["_row"])
        for split in made.dataset.info.rows
        for row in made.dataset.rows(split)
    ]
    if files:
        gone = [("source" if split == "train" else split, row) for split, row in gone]
    assert len(gone) == len(set(gone))
    assert sorted([*gone, *left]) == sorted(
        ("test" if name == "test" else "source", row)
        for name, rows_of in tables.items()
        for row in range(len(rows_of))
    )


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rng=st.randoms(use_true_random=False), classes=st.integers(1, 4), grouped=st.booleans())
def test_the_order_of_the_file_changes_nothing(
    stage: Runner, rng: Any, classes: int, grouped: bool, many: Maker
) -> None:
    table = [{**row, "who": str(n % 17)} for n, row in enumerate(many(70, classes + 1))]
    mixed = list(table)
    rng.shuffle(mixed)
    extra = {"splits": {"groups": "who"}} if grouped else {}
    first, second = (stage({"source": rows}, **extra) for rows in (table, mixed))
    for split in ("train", "validation", "test"):
        assert first.texts(split) == second.texts(split)


def test_another_seed_holds_out_other_rows(stage: Runner, many: Maker) -> None:
    first, second = (stage({"source": many(200)}, seed=seed) for seed in (0, 1))
    assert set(first.texts("test")) != set(second.texts("test"))


def test_too_many_unusable_rows_stop_the_run_and_keep_the_ledger(
    stage: Runner, tmp_path: Path, many: Maker, labelled: Maker
) -> None:
    table = [*many(80), *labelled(*[(f"row {n}", "") for n in range(20)])]
    with pytest.raises(GateError) as caught:
        stage({"source": table}, keep_ledger=tmp_path / "kept")
    problem = caught.value.problems[0]
    assert problem.code == "MW-204"
    assert "20 of 100 rows (20.0%)" in problem.seen
    assert "missing-label 20" in problem.seen
    assert "source.rows:82" in problem.seen
    assert "data.limits.dropped: 0.2" in problem.fix
    kept = json.loads((tmp_path / "kept" / "ledger.json").read_text())
    assert (kept["in"], kept["kept"], kept["dropped"]) == (100, 80, {"missing-label": 20})
    assert len((tmp_path / "kept" / "ledger.jsonl").read_text().splitlines()) == 20


def test_duplicates_do_not_count_towards_the_limit(stage: Runner, many: Maker) -> None:
    made = stage({"source": [*many(30), *many(30)]}, clean=["exact-duplicates"])
    assert made.ledger["dropped"] == {"exact-duplicate": 30}


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ([], "MW-202"),
        ([("one", "a")], "MW-205"),
        ([(f"text {n}", "a") for n in range(50)], "MW-205"),
        ([("same", "a")] * 50, "MW-205"),
        ([("one", "a"), ("two", "b")], "MW-208"),
        ([(f"text {n}", f"class {n}") for n in range(50)], "MW-208"),
    ],
)
def test_data_that_cannot_be_learnt_from_is_refused(
    stage: Runner, labelled: Maker, table: Any, code: str
) -> None:
    with pytest.raises(UserError) as caught:
        stage({"source": labelled(*table)}, clean=ALL, limits={"dropped": 1.0})
    assert caught.value.problem.code == code


def test_a_file_with_a_header_only_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n")
    (tmp_path / "out").mkdir()
    request = DataRequest(
        data=Data(source="a.csv", format="csv"),
        task=plugs.load("task", "text-classification").cls,
        folder=tmp_path,
        output=tmp_path / "out",
    )
    with pytest.raises(UserError) as caught:
        run(request)
    assert caught.value.problem.code == "MW-203"
    assert "the source holds no rows" in caught.value.problem.seen


def test_a_test_file_without_usable_rows_is_an_error_that_says_why(
    stage: Runner, many: Maker, labelled: Maker
) -> None:
    tables = {"train": many(100), "test": labelled(("hidden", None))}
    with pytest.raises(UserError) as caught:
        stage(tables)
    assert caught.value.problem.code == "MW-203"
    assert "test" in caught.value.problem.seen
    assert "missing-label 1" in caught.value.problem.seen


def test_integer_codes_become_the_names_that_the_source_declares(
    stage: Runner, many: Maker
) -> None:
    table = [{"text": row["text"], "label": n % 2} for n, row in enumerate(many(60))]
    table.append({"text": "a hidden label", "label": -1})
    made = stage({"source": table}, names={"label": ["no", "yes"]})
    assert made.dataset.info.labels == ["no", "yes"]
    assert made.ledger["dropped"] == {"missing-label": 1}


def test_lists_of_labels_make_the_task_multi_label(stage: Runner, many: Maker) -> None:
    table = [{"text": row["text"], "label": ["a", "b"][: n % 3]} for n, row in enumerate(many(60))]
    made = stage({"source": table})
    assert made.dataset.info.multi_label
    assert made.dataset.info.labels == ["a", "b"]
    assert made.dataset.rows("train")[0]["label"] in ([], ["a"], ["a", "b"])
    assert made.audit["conflicts"]["texts"] == 0


def test_slices_are_kept_as_text(stage: Runner, many: Maker) -> None:
    table = [{**row, "age": n if n % 2 else None} for n, row in enumerate(many(60))]
    made = stage({"source": table}, slices=["age"])
    assert made.dataset.info.slices == ["age"]
    values = {row["_row"]: row["slice:age"] for row in made.dataset.rows("train")}
    assert all(value == (str(row) if row % 2 else None) for row, value in values.items())


def test_half_a_surrogate_pair_is_repaired(stage: Runner, many: Maker) -> None:
    made = stage({"source": [*many(60), {"text": "bad \ud83d end", "label": "class 0"}]})
    assert made.ledger["repairs"] == {"invalid-unicode": 1}
    assert made.ledger["repaired"] == 1


def test_a_very_long_row_and_emoji_and_chinese_pass(stage: Runner, many: Maker) -> None:
    long = "长文本 with words " * 70_000
    extra = [
        {"text": t, "label": "class 1"} for t in (long, long + "!", "👩‍👩‍👧 ok", "很好吃，下次再来")
    ]
    made = stage({"source": [*many(60), *extra]}, clean=ALL)
    assert made.ledger["dropped"] == {"near-duplicate": 1}
    assert max(len(text) for split in made.dataset.info.rows for text in made.texts(split)) > 10**6


def test_images_are_compared_by_their_bytes(stage: Runner) -> None:
    import io

    from PIL import Image

    def png(value: int) -> bytes:
        out = io.BytesIO()
        Image.fromarray(np.full((8, 6, 3), value, np.uint8)).save(out, "PNG")
        return out.getvalue()

    table = [{"image": png(n), "label": "ab"[n % 2]} for n in range(40)]
    table += [table[0], {"image": png(41)[:40], "label": "a"}]
    made = stage({"source": table}, task="image-classification", clean=None)
    assert made.ledger["dropped"] == {"corrupt-image": 1, "exact-duplicate": 1}
    facts = made.dataset.info.facts
    assert (facts["width"], facts["height"], facts["modes"].keys()) == (6, 8, {"RGB"})
    assert made.dataset.info.language == ""


def test_tagged_words_keep_their_tags_and_count_labelled_words(stage: Runner) -> None:
    table = [
        {"tokens": ["Ann", "met", f"Bob{n}", "."], "tags": ["B-PER", "O", "B-PER", "O"]}
        for n in range(40)
    ]
    made = stage({"source": table}, task="token-classification", clean=None)
    assert made.audit["labelled_words"]["share"] == 0.5
    assert made.audit["classes"]["PER"]["train"] == made.dataset.info.rows["train"] == 32


def test_scores_of_sentence_pairs_are_read_as_pairs(stage: Runner, many: Maker) -> None:
    table = [
        {"sentence1": row["text"], "sentence2": f"as {n}", "score": n / 10}
        for n, row in enumerate(many(50))
    ]
    made = stage({"source": table}, task="text-regression", clean=None)
    assert made.dataset.info.columns == {
        "text": "sentence1", "text_pair": "sentence2", "target": "score",
    }  # fmt: skip
    assert made.audit["classes"] == {}


def test_default_cleaners_suit_the_task() -> None:
    def names(task: str, effort: Any = "standard") -> list[str]:
        return [part.name for part in default_cleaners(plugs.load("task", task).cls, effort)]

    assert names("text-classification") == ALL
    assert names("text-classification", "quick") == ALL[:2]
    assert names("token-classification") == ["exact-duplicates"]
    assert names("image-classification") == ["exact-duplicates"]


@pytest.mark.parametrize(
    ("clean", "code"),
    [
        (["near-duplicate"], "MW-105"),
        ([{"near-duplicates": {"treshold": 0.9}}], "MW-102"),
        (["corrupt-images"], "MW-106"),
    ],
)
def test_wrong_cleaners_are_refused(stage: Runner, clean: Any, code: str, many: Maker) -> None:
    with pytest.raises(UserError) as caught:
        stage({"source": many(30)}, clean=clean)
    assert caught.value.problem.code == code


def test_banking77_loses_its_leaks_and_keeps_its_test_rows(real: Path, tmp_path: Path) -> None:
    request = DataRequest(
        data=Data(splits=Splits(train="train.csv", test="test.csv")),
        task=plugs.load("task", "text-classification").cls,
        options={"multi_label": None, "separator": "|"},
        folder=real / "banking77",
        output=tmp_path,
    )
    made = run(request)
    assert len(made.info.labels) == 77
    assert made.info.language == "en"
    assert made.info.rows["test"] == 3080
    assert made.info.audit["leaks"]["duplicates"]["rows"] == 7
    assert made.info.audit["leaks"]["near_duplicates"]["rows"] > 0
    assert made.info.audit["rows"]["in"] == 13_083
    texts = {split: set(made.table(split)["text"].to_pylist()) for split in made.info.rows}
    assert not texts["train"] & texts["test"]
    assert not texts["validation"] & texts["test"]
    assert all(row["validation"] for row in made.info.audit["classes"].values())


def test_waimai_is_chinese(real: Path, tmp_path: Path) -> None:
    request = DataRequest(
        data=Data(
            splits=Splits(train="train.csv.gz", validation="dev.csv.gz", test="test.csv.gz"),
            clean=[Part(name=name) for name in ALL],
        ),
        task=plugs.load("task", "text-classification").cls,
        folder=real / "waimai_10k",
        output=tmp_path,
    )
    made = run(request)
    assert made.info.language == "zh"
    assert made.info.labels == ["0", "1"]
    assert made.info.rows["test"] == 1198
    assert made.info.audit["cleaners"]["near-duplicates"]["rows"] > 0
