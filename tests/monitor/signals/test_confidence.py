"""Scores of every kind of answer."""

from __future__ import annotations

from modelwright.monitor.sample import Known, Sample
from modelwright.monitor.signals.confidence import Confidence, Config


def test_scores_of_every_kind_of_answer() -> None:
    answers = [
        {"score": 0.5},
        {"entities": [{"score": 0.9}, {"score": 0.2}]},
        {"entities": []},
        {"score": "x"},
    ]
    found = Confidence(Config()).values(Sample([None] * 4, answers, Known()))
    assert found[:2].tolist() == [0.5, 0.2]
    assert (found[2:] != found[2:]).all()
