"""What signals did, as people read it."""

from __future__ import annotations

from modelwright.monitor.sketches import LEAST_EDGE, Moved, Ordered
from modelwright.monitor.stage import Found
from modelwright.monitor.words import sentence, sentence_zh


def found(moved: Moved) -> Found:
    return Found("any", ("Any", "任一"), 100, 2.0, moved, "", (), ())


def test_an_edge_that_parts_nothing_from_something_is_called_zero() -> None:
    more = found(Moved(1e-9, LEAST_EDGE, True, 0.2, 0.1))
    assert sentence(more) == "20.0% of rows instead of 10.0% above 0"
    assert sentence_zh(more) == "大于 0 的占 20.0%,参考为 10.0%"
    assert sentence(found(Moved(1e-9, LEAST_EDGE, False, 0.9, 0.8))).endswith("at 0")
    names = [
        name
        for name, _, _ in Ordered((LEAST_EDGE, 0.5), [5, 3, 2]).beside(
            Ordered((LEAST_EDGE, 0.5), [1, 1, 8])
        )
    ]
    assert names == ["-inf", "> 0", "0.5"]


def test_a_side_is_told() -> None:
    assert sentence(found(Moved(1e-9, 0.5, False, 0.2, 0.1))).endswith("below 0.5")
    assert sentence_zh(found(Moved(1e-9, 0.5, False, 0.2, 0.1))).startswith("低于 0.5")
