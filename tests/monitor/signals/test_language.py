"""The language of single inputs."""

from __future__ import annotations

from modelwright.monitor.sample import Known, Sample
from modelwright.monitor.signals.language import Config, Language


def test_languages_are_told_apart() -> None:
    rows = [
        "where is my card",
        "我的卡在哪里",
        "wo ist denn meine Karte und nicht der Brief",
        "12345",
        "xyz",
    ]
    found = Language(Config()).values(Sample(rows, [{}] * 5, Known()))
    assert found == [["en"], ["zh"], ["de"], [""], ["latin"]]
