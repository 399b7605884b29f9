"""Models of one process take turns at the machine."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from modelwright.serve import _turns
from modelwright.serve._turns import Turns


def test_a_model_alone_never_waits():
    turns = Turns()
    turns.join("a", 2)
    with turns.turn("a"), turns.turn("a"):
        pass


def test_the_model_that_had_less_time_goes_first():
    turns, order = Turns(), []
    for name in ("a", "b"):
        turns.join(name, 1)
    with turns.turn("a"):
        time.sleep(0.01)
    inside, go = threading.Event(), threading.Event()

    def hold() -> None:
        with turns.turn("b"):
            inside.set()
            go.wait()

    def take(name: str) -> None:
        with turns.turn(name):
            order.append(name)

    holder = threading.Thread(target=hold)
    holder.start()
    inside.wait()
    threads = [threading.Thread(target=take, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    while turns._waiting.total() < 2:
        time.sleep(0.001)
    turns._used["b"] = 0.0
    turns._used["a"] = 1.0
    go.set()
    for thread in (holder, *threads):
        thread.join()
    assert order == ["b", "a"]


def test_two_busy_models_share_the_time_and_not_the_calls():
    turns, calls, stop = Turns(), Counter[str](), threading.Event()
    for name in ("short", "long"):
        turns.join(name, 1)

    def work(name: str, seconds: float) -> None:
        while not stop.is_set():
            with turns.turn(name):
                time.sleep(seconds)
                calls[name] += 1
            if calls["long"] >= 8:
                stop.set()

    threads = [
        threading.Thread(target=work, args=one) for one in (("short", 0.005), ("long", 0.02))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls["short"] > 1.5 * calls["long"]


def test_a_model_that_was_idle_gets_its_share_and_no_more():
    turns = Turns()
    turns.join("busy", 1)
    turns.join("new", 1)
    turns._used["busy"] = 100.0
    with turns.turn("busy"):
        pass
    with turns.turn("new"):
        assert turns._used["new"] == 100.0


def test_a_call_that_hangs_does_not_hold_up_the_other_models(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_turns, "HOG_S", 0.02)
    turns = Turns()
    turns.join("stuck", 1)
    turns.join("fine", 1)
    with turns.turn("stuck"), turns.turn("fine"):
        pass
