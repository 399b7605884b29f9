"""Characters that training never held."""

from __future__ import annotations

from modelwright.monitor.sample import Known, Sample
from modelwright.monitor.signals.unseen_characters import Config, UnseenCharacters


def test_the_share_of_unseen_characters() -> None:
    known = Known().learn(["abc"])
    found = UnseenCharacters(Config()).values(Sample(["ab", "ab😀!"], [{}] * 2, known))
    assert found.tolist() == [0.0, 0.5]
