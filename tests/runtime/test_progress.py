"""What a bar says where there is no terminal."""

from __future__ import annotations

from modelwright.runtime.progress import Bar


def test_the_time_left_follows_this_runs_pace_and_not_what_an_earlier_run_did() -> None:
    bar = Bar("training", 100)
    bar.resume(50)
    bar.started -= 10  # ten seconds for the next ten
    bar.advance(10)
    assert bar._line() == "  training:  60%  (40 s left)"
