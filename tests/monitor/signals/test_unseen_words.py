"""Words that training never held."""

from __future__ import annotations

from modelwright.monitor.sample import Known, Sample
from modelwright.monitor.signals.unseen_words import Config, UnseenWords


def test_the_share_of_unseen_words() -> None:
    known = Known().learn(["Where is my card", "我的卡丢了"])
    rows = ["where is my parcel", "my card", "我的卡", "我的猫", ""]
    found = UnseenWords(Config()).values(Sample(rows, [{}] * 5, known))
    assert found[:4].tolist() == [0.25, 0.0, 0.0, 0.5]
    assert found[4] != found[4]
