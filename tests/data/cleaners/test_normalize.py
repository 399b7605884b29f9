"""The cleaner normalize; the normal form itself is tested in test_normal.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_repairs_are_counted_by_row_and_make_texts_equal(
    stage: Callable[..., Any], many: Callable[..., Any]
) -> None:
    table = [
        *many(60),
        {"text": "R&amp;D  team", "label": "class 0"},
        {"text": "Ｒ＆Ｄ team\u200b", "label": "class 0"},
        {"text": "\u200b\ufeff", "label": "class 0"},
    ]
    made = stage({"source": table}, clean=["normalize", "exact-duplicates"])
    assert made.ledger["repairs"] == {"normalized": 3}
    assert made.ledger["repaired"] == 1
    assert made.ledger["dropped"] == {"empty-text": 1, "exact-duplicate": 1}
    assert "R&D team" in [t for split in made.dataset.info.rows for t in made.texts(split)]


def test_offsets_of_tagged_words_move_along(stage: Callable[..., Any]) -> None:
    table = [
        {
            "text": f"Met  Ｂｏｂ{n}&amp;Co\u200b today",
            "spans": [{"start": 5, "end": 8 + len(str(n)), "label": "PER"}],
        }
        for n in range(30)
    ]
    made = stage({"source": table}, task="token-classification", clean=["normalize"])
    for row in made.dataset.rows("train"):
        named = [
            row["text"][start:end]
            for start, end, tag in zip(row["starts"], row["ends"], row["tags"], strict=True)
            if tag == "B-PER"
        ]
        assert named[0].startswith("Bob")
        assert "  " not in row["text"]
