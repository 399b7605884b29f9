"""What is learned of how late answers come, and of how long the event loop takes to come round."""

from __future__ import annotations

import asyncio
import time

import pytest

from modelwright.serve._pace import FORGET_S, LoopClock, Pace


def test_nothing_is_reckoned_with_before_something_was_late() -> None:
    assert Pace().margin(0.0) == 0.0


def test_answers_that_come_late_are_reckoned_with_and_their_swing_too() -> None:
    steady, swinging = Pace(), Pace()
    for place in range(400):
        steady.note(place, place + 0.04)
        swinging.note(place, place + (0.0 if place % 2 else 0.08))
    assert steady.margin(400.0) == pytest.approx(0.04, abs=0.005)
    assert swinging.margin(400.0) > 0.08


def test_answers_that_come_early_take_nothing_off() -> None:
    pace = Pace()
    for place in range(200):
        pace.note(place, place - 0.05)
    assert pace.margin(200.0) == 0.0


def test_lateness_is_forgotten_where_nobody_is_answered() -> None:
    pace = Pace()
    for _ in range(200):
        pace.note(0.0, 0.1)
    assert pace.margin(0.1 + 10 * FORGET_S) < 0.001 < pace.margin(0.1)


def test_a_busy_loop_is_seen() -> None:
    async def busy(seconds: float) -> float:
        clock = LoopClock(asyncio.get_running_loop())
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                pass
            await asyncio.sleep(0)
        clock.stop()
        return clock.turn

    assert asyncio.run(busy(0.05)) > 0.008
