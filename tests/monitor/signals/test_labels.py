"""Labels of every kind of answer."""

from __future__ import annotations

from modelwright.monitor.sample import Known, Sample
from modelwright.monitor.signals.labels import Config, Labels


def test_labels_of_every_kind_of_answer() -> None:
    answers = [
        {"label": "a"},
        {"labels": ["a", "b"]},
        {"entities": [{"label": "PER"}]},
        {"value": 1.0},
        {"entities": [7]},
    ]
    found = Labels(Config()).values(Sample([None] * 5, answers, Known()))
    assert found == [["a"], ["a", "b"], ["PER"], [], []]
