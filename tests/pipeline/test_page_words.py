"""The page's sentences: each in both languages, each used, each with its figures."""

from __future__ import annotations

import re
import string
from importlib import resources
from pathlib import Path

import pytest
from markupsafe import Markup

from modelwright.evaluate.stage import smaller_is_better
from modelwright.pipeline.page import _words

FOLDER = Path(str(resources.files("modelwright.pipeline.page")))
SOURCE = "\n".join(
    path.read_text(encoding="utf-8")
    for path in sorted([*FOLDER.glob("*.py"), *FOLDER.glob("templates/*.html")])
)
BUILT = (
    "metric.", "baseline.", "stage.", "flow.", "split.", "status.", "task.", "slice.", "language.",
    "unit.", "average.", "leak.", "missing.", "absent.", "sec.", "fix.", "sure.verdict.", "small.pass.", "small.stage.",
    "small.axis.", "small.tip.", "hero.lead.",
)  # fmt: skip
"""Prefixes to which the page adds a name of the run."""


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


@pytest.mark.parametrize("key", sorted(_words.table()))
def test_a_sentence_is_in_both_languages_with_the_same_figures(key: str) -> None:
    english, chinese = _words.table()[key]
    assert english.strip()
    assert chinese.strip()
    assert fields(english) == fields(chinese)


def test_every_sentence_that_the_page_names_is_there() -> None:
    calls = r"""\b(?:t|plain|say|chart_text|th|figcap)\(\s*["']([a-z0-9_.-]+)["']"""
    named = re.findall(calls, SOURCE)
    assert len(named) > 100
    assert [key for key in named if key not in _words.table() and not key.endswith(".")] == []


def test_no_sentence_is_left_over() -> None:
    unused = [
        key
        for key in _words.table()
        if not re.search(f"[\"']{re.escape(key)}[\"']", SOURCE) and not key.startswith(BUILT)
    ]
    assert unused == []


def test_every_advice_has_a_sentence_and_a_way_to_do_it() -> None:
    keys = re.findall(r'Advice\(\s*"([a-z-]+)"', SOURCE)
    assert len(keys) > 10
    for key in keys:
        assert f"fix.{key}" in _words.table()
        assert f"fix.{key}.how" in _words.table()


def test_values_in_sentences_are_escaped_in_both_languages() -> None:
    said = _words.say("head.effort", effort="<b>")
    assert said.count("&lt;b&gt;") == 2
    assert "<b>" not in said


def test_a_name_without_words_stands_for_itself() -> None:
    assert _words.known("metric", "my_<metric>") == Markup("<span>my_&lt;metric&gt;</span>")


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [("accuracy", 0.92877, "92.9%"), ("macro_f1", 1.0, "100.0%"), ("spearman", 0.8734, "0.873"),
     ("rmse", 12.345, "12.3"), ("accuracy", None, "–"), ("mcc", -0.1, "-0.100")],
)  # fmt: skip
def test_shares_are_read_as_percent_and_others_as_numbers(
    metric: str, value: float | None, shown: str
) -> None:
    assert _words.figure(metric, value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.42, "0.4 s"), (42, "42 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (None, "–")],
)
def test_durations_are_as_people_say_them(seconds: float | None, shown: str) -> None:
    assert _words.duration(seconds) == shown


def test_differences_carry_their_sign() -> None:
    assert _words.points("accuracy", 0.016) == "+1.6"
    assert _words.points("spearman", -0.02) == "−0.020"


def test_names_may_break_after_joints_and_are_escaped() -> None:
    assert _words.breakable("card_not<working") == Markup("card_<wbr>not&lt;working")


def test_every_metric_of_the_product_has_words() -> None:
    import numpy as np

    from modelwright.metrics import evidence as kinds

    tags = [["B-X", "O"], ["O", "B-X"]]
    found = [
        kinds.ClassEvidence(("a", "b"), np.array([0, 1]), np.eye(2)),
        kinds.MultiLabelEvidence(("a", "b"), np.eye(2, dtype=bool), np.eye(2)),
        kinds.RegressionEvidence(np.array([0.0, 1.0]), np.array([0.0, 1.0])),
        kinds.SpanEvidence(tags, tags, [[1.0, 1.0]] * 2),
    ]
    for evidence in found:
        for metric in evidence.scores():
            assert f"metric.{metric}" in _words.table()
            assert not (_words.is_share(metric) and metric in ("rmse", "mae"))
            smaller_is_better(metric)
