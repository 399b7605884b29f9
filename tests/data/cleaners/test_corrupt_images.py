"""The cleaner corrupt-images."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from modelwright import plugs
from modelwright.artifacts.ledger import Place
from modelwright.data.chunks import Chunk, RowKind
from modelwright.data.cleaners import Surroundings


def test_it_drops_what_cannot_be_decoded_whole_and_what_is_tiny() -> None:
    from PIL import Image

    def png(side: int) -> bytes:
        out = io.BytesIO()
        Image.effect_noise((side, side), 50).save(out, "PNG")
        return out.getvalue()

    task = plugs.load("task", "image-classification").cls
    kind = RowKind.of(task, multi_label=False, pair=False)
    images = [png(20), png(20)[:200], b"not an image", png(3)]
    rows = [{"image": image, "label": "a"} for image in images]
    plug = plugs.load("cleaner", "corrupt-images")
    cleaner = plug.cls(
        plug.config(min_side=8), Surroundings(kind, lambda n: Place("train", n, "x"))
    )
    chunk = Chunk(kind, "train", rows, list(range(4)))
    cleaner.see(chunk)
    assert [(index, reason) for index, reason, _ in chunk.dropped] == [
        (1, "corrupt-image"),
        (2, "corrupt-image"),
        (3, "small-image"),
    ]


def test_images_can_be_cleaned_in_a_run(stage: Callable[..., Any]) -> None:
    from PIL import Image

    table = []
    for n in range(30):
        out = io.BytesIO()
        Image.new("L", (20, 20 if n else 4), n).save(out, "PNG")
        table.append({"image": out.getvalue(), "label": "ab"[n % 2]})
    made = stage(
        {"source": table}, task="image-classification", clean=[{"corrupt-images": {"min_side": 8}}]
    )
    assert made.dropped("small-image") == [("source", 0)]
