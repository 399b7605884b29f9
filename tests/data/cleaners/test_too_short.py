"""The cleaner too-short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_it_drops_by_characters_and_by_words(
    stage: Callable[..., Any], many: Callable[..., Any]
) -> None:
    table = [*many(40), *({"text": "a " * n + "b", "label": "class 0"} for n in (1, 30))]
    for options in ({"characters": 4}, {"characters": 1, "words": 3}):
        made = stage({"source": table}, clean=[{"too-short": options}])
        assert made.dropped("too-short") == [("source", 40)]
