"""Length is counted in characters, whatever the script."""

from __future__ import annotations

from modelwright.monitor.sample import Known, Sample
from modelwright.monitor.signals.length import Config, Length


def test_characters_are_counted() -> None:
    found = Length(Config()).values(
        Sample(["abc", "我的卡", {"text": "a", "text_pair": "bc"}], [{}] * 3, Known())
    )
    assert found.tolist() == [3, 3, 4]
