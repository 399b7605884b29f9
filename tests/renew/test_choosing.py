"""What is chosen for labels is unsure or foreign, of every kind some, and nothing twice."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.renew.choosing import SAME, Chosen, choose, pick, plain_form
from modelwright.renew.labels import Labelled, split_off, write_to_label
from modelwright.renew.traffic import Recorded


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_every_group_is_chosen_from_and_no_two_say_the_same():
    random = np.random.default_rng(0)
    centres = unit(random.normal(size=(10, 32)))
    sizes = [200, 200, 200, *[10] * 7]
    group = np.repeat(np.arange(10), sizes)
    vectors = unit(centres[group] + 0.05 * random.normal(size=(len(group), 32)))
    picked = pick(vectors, np.ones(len(group)), np.arange(len(group)), (100, SAME), random)
    assert len(picked) <= 100
    assert set(group[picked]) == set(range(10))
    cosines = vectors[picked] @ vectors[picked].T - 2 * np.eye(len(picked))
    assert cosines.max() < SAME


@given(st.integers(0, 40), st.integers(1, 30), st.integers(0, 5))
def test_the_budget_is_kept_and_rows_are_distinct(rows: int, budget: int, seed: int):
    random = np.random.default_rng(seed)
    vectors = unit(random.normal(size=(rows, 8)) + 1e-3) if rows else np.zeros((0, 8), np.float32)
    picked = pick(vectors, random.random(rows), np.arange(rows), (budget, SAME), random)
    assert len(picked) == len(set(picked)) <= min(rows, budget)


def test_equal_inputs_are_one_group_and_one_row():
    vectors = np.tile(np.eye(4, dtype=np.float32)[0], (50, 1))
    assert len(pick(vectors, np.ones(50), np.arange(50), (10, SAME), np.random.default_rng(0))) == 1


class Space:
    """Stands for a bundle: texts are `GROUP NUMBER SCORE`."""

    def __init__(self) -> None:
        self.centres = unit(np.random.default_rng(1).normal(size=(20, 16)))

    def fault(self, given):
        return None if isinstance(given, str) else "no text"

    def predict(self, inputs):
        return [{"label": "x", "score": float(one.split()[2])} for one in inputs]

    def embed(self, inputs):
        noise = [np.random.default_rng(int(one.split()[1])).normal(size=16) for one in inputs]
        groups = [int(one.split()[0]) for one in inputs]
        return unit(self.centres[groups] + 0.08 * np.array(noise))


def test_the_foreign_and_the_unsure_are_chosen_before_the_usual():
    usual = [Recorded(f"a:{n}", f"1 {n} 0.99") for n in range(300)]
    foreign = [Recorded(f"b:{n}", f"7 {1000 + n} 0.99") for n in range(20)]
    unsure = [Recorded(f"c:{n}", f"1 {2000 + n} 0.4") for n in range(20)]
    reference = [f"1 {3000 + n} 0.9" for n in range(100)]
    broken = [Recorded("d:0", 7), Recorded("d:1", None)]
    chosen = choose([*usual, *foreign, *unsure, *broken], Space(), reference, 30, seed=0)
    kinds = [one.row.id[0] for one in chosen]
    assert kinds.count("b") + kinds.count("c") >= 20  # by chance it would be 4
    assert {"b", "c"} <= set(kinds)
    assert {one.why for one in chosen if one.row.id[0] == "b"} == {"drifted"}
    assert choose([], Space(), reference, 30, seed=0) == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Where is my card?", "where  is my CARD", True),
        ("ＡＢＣ", "abc", True),
        ("卡丢了", "卡丢了！", True),
        ("卡丢了", "卡到了", False),
        ("🙂", "🙁", False),
    ],
)
def test_what_says_the_same(one: str, other: str, same: bool):
    assert (plain_form(one) == plain_form(other)) is same


TEXTS = ['a "quoted", text', "line\nbreak\r\nand more", "银行卡丢了 🙂", "=1+1", " spaced ", ";\t|"]


def test_the_file_for_people_holds_any_text(tmp_path: Path):
    path = tmp_path / "to-label.csv"
    write_to_label(
        path, [Chosen(Recorded(f"r:{n}", t), 0, 0, "drifted", "x") for n, t in enumerate(TEXTS)],
        "label",
    )  # fmt: skip
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == TEXTS
    assert {row["label"] for row in rows} == {""}


def test_test_rows_stay_test_rows_when_more_labels_come():
    rows = [Labelled({"text": f"text {n}", "label": "a"}, "") for n in range(40)]
    learn, test = split_off(rows, 0.25)
    assert (len(learn), len(test)) == (30, 10)
    assert split_off(list(reversed(rows)), 0.25) == (learn, test)
